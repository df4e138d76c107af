/* SPDX-License-Identifier: MIT */
/*
 * net_wire.h - what is at the other end of the sandbox's NIC in hosted tests
 *
 * The module's model of the NIC (module/net/e1000*.c, the same code) moves frames between the guest's rings
 * and a wire here, when the test says so (wire_run()) or the guest sleeps. The wire loses, doubles,
 * delays and spoils frames as it is told. Behind it is one machine, WIRE_HOST: it answers ARP and pings
 * itself, and is a mirror for everything else: what is sent to it comes back as if from it. So a
 * connection of the sandbox with WIRE_HOST is one with another socket of the sandbox, all
 * the way through the driver, the rings and the wire.
 */
#ifndef HOSTED_NET_WIRE_H
#define HOSTED_NET_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE_GUEST	0x0200000a	/* 10.0.0.2, network byte order on a little-endian machine */
#define WIRE_HOST	0x0100000a	/* 10.0.0.1 */
#define WIRE_MASK	0x00ffffff
#define WIRE_FRAME	9100

/* In 1/1000 of the frames, either way */
struct wire_faults {
	uint32_t lose, twice, late, spoil;
};
extern struct wire_faults wire_faults;
extern bool wire_stopped;	/* the NIC's worker does nothing */
extern bool wire_deaf;		/* WIRE_HOST answers nothing and mirrors nothing */
/* Frames so far; a copy of the last from the guest */
extern uint64_t wire_sent, wire_received, wire_doorbells, wire_spoilt;
extern uint8_t wire_last[WIRE_FRAME];
extern uint32_t wire_last_len;
/* What the guest sends is shown to the test first; true: it goes no further */
extern bool (*wire_watch)(const uint8_t *frame, uint32_t len);

void wire_init(void);
void wire_end(void);
/** wire_run() - one round of the worker; true: something moved. The interrupt is wire_irq()'s */
bool wire_run(void);
void wire_irq(void);	/* the test's */
/** wire_inject() - a frame to the guest, at the end of the wire, without faults */
void wire_inject(const void *frame, uint32_t len);
/** wire_hypercall() - RS_HC_NIC_* */
long wire_hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2);
uint64_t wire_random(void);	/* the test's */

#endif
