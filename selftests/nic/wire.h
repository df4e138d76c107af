/* SPDX-License-Identifier: MIT */
/*
 * wire.h - frames that know what they have to be, and Linux's end of an interface as a packet socket
 */
#ifndef SELFTESTS_NIC_WIRE_H
#define SELFTESTS_NIC_WIRE_H

#include "link.h"

#define WIRE_PROTOCOL	0x88b5		/* for experiments: nobody else sends it */
#define WIRE_MIN	60
#define WIRE_MAX	1514

/* A frame of @len bytes from @src to @dst; what is in it depends on @seed and on its length. */
void wire_make(uint8_t *f, unsigned int len, unsigned int seed, const uint8_t *dst, const uint8_t *src);
/* Are these that frame's bytes behind the addresses? */
bool wire_is(const uint8_t *f, unsigned int len, unsigned int seed);
unsigned int wire_len(unsigned int seed);	/* between the limits, all of them over time */

/* Sends through the interface; receives the next one of ours that came in, for at most 30 s. */
void wire_send(int fd, const char *name, const void *frame, unsigned int len);
unsigned int wire_receive(int fd, void *buf, unsigned int size);
/* One that is there already; 0: none. */
unsigned int wire_poll(int fd, void *buf, unsigned int size);

/* Wait until Linux sends through the interface: it does some time after it has seen the carrier. */
void wire_ready(const char *name);

/* A NIC with its register page at G_NIC_REGS, where the payload's driver looks for it. */
struct nic *nic_new_with_registers(void);
/* The payload's driver, in vCPU 0. */
#define driver(n, op, ...)	tcpu_call((n)->cpu, G_NIC, op, ##__VA_ARGS__)

#endif /* SELFTESTS_NIC_WIRE_H */
