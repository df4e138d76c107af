// SPDX-License-Identifier: MIT
/*
 * e1000.c - a driver of the 82540EM as they are written to learn from, for the register page
 *
 * It knows nothing of Ringside: reset, EEPROM, rings, then descriptors, tails and DD bits, with plain loads
 * and stores of registers. (The edges at the end are the exception: they are of the queue page.)
 *
 * State is in memory and stays from one start of the payload to the next.
 */
#include "guest.h"
#include "ringside_guest.h"

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define CTRL		0x0000
#define CTRL_ASDE	(1u << 5)
#define CTRL_SLU	(1u << 6)
#define CTRL_RST	(1u << 26)
#define STATUS		0x0008
#define STATUS_LU	2
#define EERD		0x0014
#define ICR		0x00c0
#define IMS		0x00d0
#define IMC		0x00d8
#define RCTL		0x0100
#define TCTL		0x0400
#define TIPG		0x0410
#define RDBAL		0x2800
#define RDBAH		0x2804
#define RDLEN		0x2808
#define RDH		0x2810
#define RDT		0x2818
#define RDTR		0x2820
#define TDBAL		0x3800
#define TDBAH		0x3804
#define TDLEN		0x3808
#define TDH		0x3810
#define TDT		0x3818
#define MTA		0x5200
#define RA		0x5400

#define BUF		2048

struct tx_desc {
	u64 addr;
	u16 length;
	u8 cso, cmd, status, css;
	u16 special;
};

struct rx_desc {
	u64 addr;
	u16 length, checksum;
	u8 status, errors;
	u16 special;
};

u64 g_nic(volatile struct g_args *a);
u64 g_hypercall(u64 nr, u64 a, u64 b, u64 c);

static volatile u32 *const regs = (volatile u32 *)G_NIC_REGS;
static volatile struct tx_desc tx_ring[G_NIC_RING] __attribute__((aligned(128)));
static volatile struct rx_desc rx_ring[G_NIC_RING] __attribute__((aligned(128)));
static u32 rx_next;

static u8 *tx_buf(u32 i)
{
	return (u8 *)G_NIC_BUFS + i * BUF;
}

static u8 *rx_buf(u32 i)
{
	return (u8 *)G_NIC_BUFS + (G_NIC_RING + i) * BUF;
}

static void copy(void *to, const void *from, u64 n)
{
	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) :: "memory");
}

static u32 eeprom_word(u32 i)
{
	u32 v;

	regs[EERD / 4] = i << 8 | 1;
	do
		v = regs[EERD / 4];
	while (!(v & 0x10));
	return v >> 16;
}

static u64 start(void)
{
	u64 mac;
	u32 i;

	regs[IMC / 4] = ~0u;
	regs[CTRL / 4] |= CTRL_RST;
	while (regs[CTRL / 4] & CTRL_RST)
		;
	regs[IMC / 4] = ~0u;
	(void)regs[ICR / 4];
	regs[CTRL / 4] |= CTRL_SLU | CTRL_ASDE;

	mac = eeprom_word(0) | (u64)eeprom_word(1) << 16 | (u64)eeprom_word(2) << 32;
	regs[RA / 4] = mac;
	regs[RA / 4 + 1] = mac >> 32 | 1u << 31;
	for (i = 0; i < 128; i++)
		regs[MTA / 4 + i] = 0;

	for (i = 0; i < G_NIC_RING; i++) {
		tx_ring[i] = (struct tx_desc){ .addr = (u64)tx_buf(i), .status = 1 };
		rx_ring[i] = (struct rx_desc){ .addr = (u64)rx_buf(i) };
	}
	regs[TDBAL / 4] = (u64)tx_ring;
	regs[TDBAH / 4] = 0;
	regs[TDLEN / 4] = sizeof(tx_ring);
	regs[TDH / 4] = 0;
	regs[TDT / 4] = 0;
	regs[TIPG / 4] = 10 | 8 << 10 | 6 << 20;
	regs[TCTL / 4] = 1 << 1 | 1 << 3 | 0x10 << 4 | 0x40 << 12;	/* enable, pad, collisions */

	rx_next = 0;
	regs[RDBAL / 4] = (u64)rx_ring;
	regs[RDBAH / 4] = 0;
	regs[RDLEN / 4] = sizeof(rx_ring);
	regs[RDH / 4] = 0;
	regs[RDT / 4] = G_NIC_RING - 1;
	regs[RDTR / 4] = 0;
	regs[IMS / 4] = 1 << 7 | 1 << 2;			/* frames, link */
	regs[RCTL / 4] = 1 << 1 | 1 << 15 | 1 << 26;		/* enable, broadcast, no FCS; 2048 bytes */
	return mac;
}

static u64 send(const void *frame, u64 len)
{
	const u32 i = regs[TDT / 4], after = (i + 1) % G_NIC_RING;
	volatile struct tx_desc *d = &tx_ring[i];

	/* the tail may not reach the head: that means an empty ring */
	if (!(d->status & 1) || !(tx_ring[after].status & 1))
		return 0;
	copy(tx_buf(i), frame, len);
	d->length = len;
	d->status = 0;
	d->cmd = 1 | 1 << 1 | 1 << 3;		/* EOP, FCS, RS */
	regs[TDT / 4] = after;
	return 1;
}

static u64 receive(void *to)
{
	volatile struct rx_desc *d = &rx_ring[rx_next];
	u64 len;

	if (!(d->status & 1))
		return 0;
	len = d->length;
	copy(to, rx_buf(rx_next), len);
	d->status = 0;
	regs[RDT / 4] = rx_next;
	rx_next = (rx_next + 1) % G_NIC_RING;
	return len;
}

/* Every frame goes back: source and destination change places. */
static u64 echo(u64 count, volatile u64 *stop)
{
	static u8 frame[BUF], mac[6];
	u64 n = 0, len;

	while (n < count && !*stop) {
		len = receive(frame);
		if (!len) {
			asm volatile("pause");
			continue;
		}
		copy(mac, frame, 6);
		copy(frame, frame + 6, 6);
		copy(frame + 6, mac, 6);
		while (!send(frame, len))
			asm volatile("pause");
		n++;
	}
	return n;
}

/* --- forms of instructions ----------------------------------------------- */

#define SPARE	0x5440		/* receive addresses that nobody uses */
#define V1	0x81234567u

/* nic_spare is that register's address, by guest.lds. */
static u64 forms(void)
{
	const u64 at = G_NIC_REGS + SPARE, gs = 0x1230, old_gs_msr = 0xc0000101;
	u64 bad = 0, v, lo, hi;
	u32 n = 0;

#define FORM(ok)	do { bad |= (u64)!(ok) << n; n++; } while (0)
	/* immediate, and loads that clear the upper half */
	asm volatile("movl %1, (%0)" :: "r"(at), "i"(V1) : "memory");
	asm volatile("movq $-1, %0; movl (%1), %k0" : "=&r"(v) : "r"(at) : "memory");
	FORM(v == V1);
	/* displacements of one and four bytes, an index */
	asm volatile("movl %1, 4(%0)" :: "r"(at), "r"(0x11) : "memory");
	asm volatile("movl 0x10004(%1), %k0" : "=r"(v) : "r"(at - 0x10000) : "memory");
	FORM(v == 0x11);
	asm volatile("movl -0x40(%1,%2,4), %k0" : "=r"(v) : "r"(G_NIC_REGS), "r"((SPARE + 0x40) / 4ul) : "memory");
	FORM(v == V1);
	asm volatile("movl 0x2000000(,%1,8), %k0" : "=r"(v) : "r"(SPARE / 8ul) : "memory");
	FORM(v == V1);
	/* registers that need REX, RBP, R12 and R13 as bases, RSP as what is stored */
	asm volatile("movq %1, %%r12; movq %1, %%r13; movl (%%r12), %%r14d; movl (%%r13), %%r15d; addq %%r14, %%r15; movq %%r15, %0"
		     : "=r"(v) : "r"(at) : "r12", "r13", "r14", "r15", "memory");
	FORM(v == 2ul * V1);
	asm volatile("movl %%esp, 8(%1); movl 8(%1), %k0; subl %%esp, %k0" : "=&r"(v) : "r"(at) : "memory");
	FORM(v == 0);
	/* sign */
	asm volatile("movslq (%1), %0" : "=r"(v) : "r"(at) : "memory");
	FORM(v == (u64)(long)(int)V1);
	/* an address without registers, in both ways; relative to RIP */
	asm volatile("movabsl nic_spare, %%eax" : "=a"(v) :: "memory");
	FORM((u32)v == V1);
	asm volatile("movabsl %%eax, nic_spare + 4" :: "a"(0x22) : "memory");
	asm volatile("movl nic_spare + 4(%%rip), %k0" : "=r"(v) :: "memory");
	FORM(v == 0x22);
	asm volatile("movl $0x33, nic_spare + 4(%%rip)" ::: "memory");
	asm volatile("movl nic_spare + 4, %k0" : "=r"(v) :: "memory");
	FORM(v == 0x33);
	/* segments, and prefixes that mean nothing */
	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(old_gs_msr));
	asm volatile("wrmsr" :: "c"(old_gs_msr), "a"((u32)gs), "d"(0) : "memory");
	asm volatile("movl %%gs:(%1), %k0" : "=r"(v) : "r"(at - gs) : "memory");
	asm volatile("wrmsr" :: "c"(old_gs_msr), "a"((u32)lo), "d"((u32)hi) : "memory");
	FORM(v == V1);
	asm volatile(".byte 0x3e, 0x2e; movl (%%rax), %%eax" : "=a"(v) : "a"(at) : "memory");
	FORM(v == V1);
	/* the register that has the address is the one that is loaded */
	v = at;
	asm volatile("movl (%0), %k0" : "+r"(v) :: "memory");
	FORM(v == V1);
#undef FORM
	return bad;
}

/* Each of them is an exception, so there is no more than one at a time. */
static u64 refused(u64 which)
{
	const u64 at = G_NIC_REGS + SPARE;
	u64 v = 0;

	switch (which) {
	case 0:
		asm volatile("movb (%1), %b0" : "+q"(v) : "r"(at) : "memory");
		break;
	case 1:
		asm volatile("movw %w1, (%0)" :: "r"(at), "r"(0) : "memory");
		break;
	case 2:
		asm volatile("movq (%1), %0" : "+r"(v) : "r"(at) : "memory");
		break;
	case 3:
		asm volatile("movq %1, (%0)" :: "r"(at), "r"(0ul) : "memory");
		break;
	case 4:
		asm volatile("movl %1, 2(%0)" :: "r"(at), "r"(0) : "memory");
		break;
	case 5:
		asm volatile("movzbl (%1), %k0" : "+r"(v) : "r"(at) : "memory");
		break;
	case 6:
		asm volatile("addl $1, (%0)" :: "r"(at) : "memory");
		break;
	case 7:
		asm volatile("xchgl %k0, (%1)" : "+r"(v) : "r"(at) : "memory");
		break;
	case 8:
		asm volatile("lock orl $1, (%0)" :: "r"(at) : "memory");
		break;
	case 9:
		asm volatile("stosl" : "=D"(v) : "0"(at), "a"(0) : "memory");
		break;
	case 10:
		asm volatile("cmpl $0, (%0)" :: "r"(at) : "memory");
		break;
	case 11:
		asm volatile("movnti %1, (%0)" :: "r"(at), "r"(0) : "memory");
		break;
	case 12:
		asm volatile("pushq (%0)" :: "r"(at) : "memory");
		break;
	case 13:
		((void (*)(void))at)();
		break;
	default:
		return 1;
	}
	return 0;
}

static u64 rnd(u64 *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1d;
}

/* Registers as a driver gone wild writes them, half of them those of the rings. */
static u64 fuzz(u64 seed, u64 n)
{
	static const u16 some[] = { CTRL, RCTL, TCTL, RDBAL, RDLEN, RDH, RDT, TDBAL, TDLEN, TDH, TDT, 0xc4, 0xc8, 0xd0, RDTR };
	u64 sum = 0, r;

	for (seed |= 1; n; n--) {
		r = rnd(&seed);
		if (r & 1)
			regs[(r >> 8) % (0x20000 / 4)] = r >> 32;
		else if (r & 2)
			sum += regs[(r >> 8) % (0x20000 / 4)];
		else if (r & 4)
			regs[some[(r >> 8) % (sizeof(some) / 2)] / 4] = (r >> 32) & 0xfff;
		else
			regs[some[(r >> 8) % (sizeof(some) / 2)] / 4] = r >> 32;
	}
	return sum;
}

/* --- edges of the queue page --------------------------------------------- */

static void fence(void)
{
	asm volatile("mfence" ::: "memory");
}

/* Without PAUSE: to the emulators that is an invitation to do something else for a long time. */
static void idle(u64 turns)
{
	while (turns--)
		asm volatile("" ::: "memory");
}

static void doorbell(struct g_edges *e, volatile struct rs_nic_page *p, u32 want)
{
	fence();
	if ((p->doorbell & want) && (__atomic_fetch_and(&p->doorbell, ~want, __ATOMIC_SEQ_CST) & want)) {
		g_hypercall(RS_HC_NIC_DOORBELL, 0, 0, 0);
		e->doorbells++;
	}
}

/* Sleep until *@index is not @seen, as the page's protocol has it; an interrupt is what ends it. */
static void sleep_until_moved(struct g_edges *e, volatile struct rs_nic_page *p, volatile u32 *index, u32 seen, u32 cause)
{
	while (*index == seen) {
		__atomic_exchange_n(&p->cause, 0, __ATOMIC_SEQ_CST);
		p->mask = cause;
		fence();
		if (*index == seen && !p->cause) {
			e->sleeps++;
			while (!__atomic_exchange_n(&e->woken, 0, __ATOMIC_SEQ_CST))
				idle(10);
		}
		p->mask = 0;
	}
}

/* Each round: one frame, and asleep until it has gone. */
static u64 edges_tx(struct g_edges *e)
{
	volatile struct rs_nic_page *p = (void *)e->page;
	struct tx_desc *ring = (void *)e->ring;
	u64 seed = e->seed | 1, first = 0, counted = 0;
	u32 tail = p->tx_tail;

	for (e->progress = 0; e->progress < e->count; e->progress++) {
		/* by then all of the memory has been touched once */
		if (e->progress == 10) {
			first = g_hypercall(RS_HC_EXIT_COUNT, 0, 0, 0);
			counted = e->doorbells;
		}
		idle(rnd(&seed) % e->pause);
		ring[tail] = (struct tx_desc){ .addr = e->bufs, .length = 60, .cmd = 1 };
		tail = (tail + 1) % e->entries;
		asm volatile("" ::: "memory");
		p->tx_tail = tail;
		doorbell(e, p, RS_NIC_WANT_TX);
		sleep_until_moved(e, p, &p->tx_head, (tail + e->entries - 1) % e->entries, 1 << 1);
	}
	e->exits = g_hypercall(RS_HC_EXIT_COUNT, 0, 0, 0) - first - 1;
	e->counted = e->doorbells - counted;
	return e->progress;
}

/* Each round: room for one frame, and asleep until it is there. */
static u64 edges_rx(struct g_edges *e)
{
	volatile struct rs_nic_page *p = (void *)e->page;
	struct rx_desc *ring = (void *)e->ring;
	u64 seed = e->seed | 1, first = 0, counted = 0;
	u32 next = p->rx_tail;

	for (e->progress = 0; e->progress < e->count; e->progress++) {
		/* by then all of the memory has been touched once */
		if (e->progress == 10) {
			first = g_hypercall(RS_HC_EXIT_COUNT, 0, 0, 0);
			counted = e->doorbells;
		}
		idle(rnd(&seed) % e->pause);
		ring[next] = (struct rx_desc){ .addr = e->bufs };
		asm volatile("" ::: "memory");
		p->rx_tail = (next + 1) % e->entries;
		doorbell(e, p, RS_NIC_WANT_RX);
		sleep_until_moved(e, p, &p->rx_head, next, 1 << 7);
		if ((ring[next].status & 3) != 3)
			break;
		next = (next + 1) % e->entries;
	}
	e->exits = g_hypercall(RS_HC_EXIT_COUNT, 0, 0, 0) - first - 1;
	e->counted = e->doorbells - counted;
	return e->progress;
}

u64 g_nic(volatile struct g_args *a)
{
	switch (a->a[0]) {
	case GN_START:
		return start();
	case GN_SEND:
		return send((const void *)a->a[1], a->a[2]);
	case GN_RECEIVE:
		return receive((void *)a->a[1]);
	case GN_ECHO:
		return echo(a->a[1], (volatile u64 *)a->a[2]);
	case GN_ICR:
		return regs[ICR / 4];
	case GN_FORMS:
		return forms();
	case GN_REFUSED:
		return refused(a->a[1]);
	case GN_EDGES_TX:
		return edges_tx((struct g_edges *)a->a[1]);
	case GN_EDGES_RX:
		return edges_rx((struct g_edges *)a->a[1]);
	case GN_FUZZ:
		return fuzz(a->a[1], a->a[2]);
	default:
		return ~0ul;
	}
}
