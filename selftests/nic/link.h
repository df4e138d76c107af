/* SPDX-License-Identifier: MIT */
/*
 * link.h - a VM with a NIC, both of its ends in the hands of the test
 *
 * One end is Linux's: the interface, made over rtnetlink. The other is the guest's: the test process
 * owns the guest's memory, so it writes descriptors and the queue page itself, as a driver in the guest
 * would; for what needs a hypercall (registers, the doorbell) it sends a vCPU.
 *
 * Functions leave the test (ASSERT) when something fails; those with _raw in the name return 0 or -errno.
 */
#ifndef SELFTESTS_NIC_LINK_H
#define SELFTESTS_NIC_LINK_H

#include "testvm.h"
#include "ringside_netlink.h"

/* Registers of the 82540EM that the tests use, and bits of them. */
#define REG_CTRL	0x0000
#define REG_STATUS	0x0008
#define REG_ICR		0x00c0
#define REG_ITR		0x00c4
#define REG_ICS		0x00c8
#define REG_IMS		0x00d0
#define REG_RCTL	0x0100
#define REG_TCTL	0x0400
#define REG_RDBAL	0x2800
#define REG_RDLEN	0x2808
#define REG_RDH		0x2810
#define REG_RDT		0x2818
#define REG_TDBAL	0x3800
#define REG_TDLEN	0x3808
#define REG_TDH		0x3810
#define REG_TDT		0x3818
#define REG_RAL0	0x5400
#define REG_RXCSUM	0x5000

#define CTRL_RST	(1u << 26)
#define CTRL_VME	(1u << 30)
#define STATUS_LU	2
#define RCTL_EN		2
#define RCTL_UPE	8
#define RCTL_MPE	16
#define RCTL_LPE	32
#define RCTL_BAM	(1u << 15)
#define RCTL_SECRC	(1u << 26)
#define TCTL_EN		2
#define CAUSE_TXDW	1
#define CAUSE_LSC	4
#define CAUSE_RXT0	0x80

#define RING		256			/* descriptors in each ring */
#define RX_BUF		2048
#define NIC_TX_RING	(G_SCRATCH + 0x0000)
#define NIC_RX_RING	(G_SCRATCH + 0x1000)
#define NIC_PAGE	(G_SCRATCH + 0x2000)
#define NIC_RX_BUFS	(G_SCRATCH + 0x10000)	/* RING buffers */
#define NIC_TX_BUFS	(G_SCRATCH + 0x100000)	/* RING buffers of TX_BUF */
#define TX_BUF		0x4000			/* the longest frame fits in one */

/** struct link_config - attributes; what is 0 or negative is left out of the message */
struct link_config {
	int vm_fd, event_fd;	/* -1: left out */
	int index;		/* -1: left out */
	const uint64_t *regs_gpa;
	const void *guest_mac;
	int guest_mac_len;
	const char *name;
	const void *address;	/* 6 bytes */
};
#define LINK_CONFIG(vm, event)	{ .vm_fd = (vm), .event_fd = (event), .index = -1 }

int link_new_raw(const struct link_config *c);
int link_del_raw(const char *name);
/* One attribute of IFLA_INFO_DATA, as bytes; the number of them, or -errno */
int link_info_raw(const char *name, int attribute, void *buf, size_t size);

struct nic {
	struct tvm *vm;
	struct tcpu *cpu;
	int event;
	char name[16];
	volatile struct rs_nic_page *page;
	uint32_t tx, rx;	/* the driver's: next descriptor to be filled, next one to be looked at */
};

/* A network namespace of the test's own, where the kernel has them; elsewhere the only one. */
void own_network(void);
/* A VM with one vCPU, an interface rsN, down; the guest's side is not set up. */
struct nic *nic_new(void);
/* Rings and queue page as a driver sets them up; receiver and transmitter on, everything received. */
void nic_setup(struct nic *n, uint32_t rctl);
void nic_close(struct nic *n);

uint32_t nic_read(struct nic *n, uint32_t reg);
void nic_write(struct nic *n, uint32_t reg, uint32_t value);
int64_t nic_doorbell(struct nic *n);

/* The guest sends a frame: descriptor, tail, doorbell if one is wanted. false: the ring is full. */
bool guest_send(struct nic *n, const void *frame, unsigned int len);
/*
 * The same with descriptors of the guest's choice: @n of them, 16 bytes each, consecutive, @frame in the
 * buffer at guest_tx_buffer(n) before.
 */
bool guest_send_descs(struct nic *n, const uint32_t (*descs)[4], unsigned int count);
/* GPA of the buffer that belongs to the next descriptor, TX_BUF bytes */
uint64_t guest_tx_buffer(const struct nic *n);
/* The guest's next frame, of at most @size bytes; its length, or -1 when there is none yet. */
int guest_recv(struct nic *n, void *buf, unsigned int size);
/* The same, waiting for the NIC's event as a driver does. */
int guest_wait_recv(struct nic *n, void *buf, unsigned int size);
/* Wait until @what holds; fails the test after half a minute. */
#define WAIT_FOR(what) do {								\
	int turns_ = 0;									\
	while (!(what)) {								\
		if (!wait_a_moment(&turns_)) {						\
			FAIL("%s did not come", #what);					\
			break;								\
		}									\
	}										\
} while (0)
bool wait_a_moment(int *turns);

/* --- frames --- */
#define EXPERIMENT	0x88b5		/* the protocol number for experiments */

/* A frame of @len bytes to everybody; what is in it depends on @seed. */
void make_frame(uint8_t *f, unsigned int len, unsigned int seed);
/* The next such frame that came in at packet socket @fd; others are passed over. Its length */
int next_frame(int fd, void *buf, size_t size);
/* The next such frame in the guest */
int guest_next_frame(struct nic *n, void *buf, size_t size);
/* Linux sends it; 0 or -errno */
int send_frame_raw(int fd, const char *name, const void *frame, unsigned int len);

/* Linux's side. */
void dev_up(const char *name, bool up);
int dev_mtu_raw(const char *name, int mtu);
bool dev_exists(const char *name);
bool dev_carrier(const char *name);
void dev_mac(const char *name, void *mac);
void dev_address(const char *name, const char *ip);	/* /24 */
/* A statistic as /sys has it; one of ethtool's; ASSERTs that there is such a one. */
uint64_t dev_stat(const char *name, const char *stat);
uint64_t dev_ethtool(const char *name, const char *stat);
/* A packet socket for all frames of the interface, with a receive timeout of 30 s. */
int packet_socket(const char *name);

#endif /* SELFTESTS_NIC_LINK_H */
