// SPDX-License-Identifier: MIT
/*
 * net_wire.c - see net_wire.h
 *
 * Compiled with the module's headers, not the guest kernel's.
 */
#include "../../module/net/e1000.h"
#include <linux/types.h>
#include <ringside_guest.h>
#include <stdio.h>
#include "net_wire.h"

#define QUEUE	2048u

struct frame {
	u32 len;
	u8 bytes[WIRE_FRAME];
};

struct wire_faults wire_faults;
bool wire_stopped, wire_deaf;
uint64_t wire_sent, wire_received, wire_doorbells, wire_spoilt;
uint8_t wire_last[WIRE_FRAME];
uint32_t wire_last_len;
bool (*wire_watch)(const uint8_t *frame, uint32_t len);

static struct rs_e1000 *dev;
static struct frame *queue;	/* to the guest */
static u32 head, tail;
static u64 clock_ns;

static const u8 guest_mac[6] = { 2, 0, 0, 0, 0, 2 }, host_mac[6] = { 2, 0, 0, 0, 0, 1 };

static int mem_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	(void)ctx;
	memcpy(buf, (void *)gpa, len);
	return 0;
}

static int mem_write(void *ctx, u64 gpa, const void *buf, u32 len)
{
	(void)ctx;
	memcpy((void *)gpa, buf, len);
	return 0;
}

static s64 mem_or32(void *ctx, u64 gpa, u32 bits)
{
	(void)ctx;
	return __atomic_fetch_or((u32 *)gpa, bits, __ATOMIC_SEQ_CST);
}

static void mem_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static u64 now_ns(void *ctx)
{
	(void)ctx;
	return clock_ns += 1000000;
}

static bool chance(u32 per_mille)
{
	return per_mille && wire_random() % 1000 < per_mille;
}

void wire_inject(const void *frame, uint32_t len)
{
	struct frame *f = &queue[tail % QUEUE];

	if (tail - head == QUEUE || len > WIRE_FRAME)
		return;
	memcpy(f->bytes, frame, len);
	f->len = len;
	tail++;
}

static void to_guest(const u8 *frame, u32 len)
{
	u8 copy[WIRE_FRAME];

	if (chance(wire_faults.lose))
		return;
	memcpy(copy, frame, len);
	/* Behind the addresses, which the NIC itself looks at. */
	if (chance(wire_faults.spoil) && len > 34) {
		wire_spoilt++;
		copy[14 + wire_random() % (len - 14)] ^= 1u << wire_random() % 8;
	}
	if (chance(wire_faults.late) && tail != head) {
		/* changes places with one that is there already */
		u32 at = head + wire_random() % (tail - head);
		struct frame f = queue[at % QUEUE];

		memcpy(queue[at % QUEUE].bytes, copy, len);
		queue[at % QUEUE].len = len;
		wire_inject(f.bytes, f.len);
	} else {
		wire_inject(copy, len);
	}
	if (chance(wire_faults.twice))
		wire_inject(copy, len);
}

static u16 fold(u64 sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

static u64 sum_of(const u8 *p, u32 len)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i + 1 < len; i += 2)
		sum += p[i] | p[i + 1] << 8;
	return len & 1 ? sum + p[len - 1] : sum;
}

static void put16(u8 *p, u16 v)
{
	memcpy(p, &v, 2);
}

/* WIRE_HOST. */
static void host_machine(u8 *f, u32 len)
{
	u32 ip;

	memcpy(f, guest_mac, 6);
	memcpy(f + 6, host_mac, 6);
	if (f[12] == 8 && f[13] == 6 && len >= 42) {
		memcpy(&ip, f + 38, 4);
		if (ip != WIRE_HOST || f[21] != 1)
			return;
		f[21] = 2;
		memcpy(f + 32, f + 22, 10);
		memcpy(f + 22, host_mac, 6);
		ip = WIRE_HOST;
		memcpy(f + 28, &ip, 4);
		to_guest(f, len);
		return;
	}
	if (f[12] != 8 || f[13] != 0 || len < 34)
		return;
	memcpy(&ip, f + 30, 4);
	if (ip != WIRE_HOST)
		return;
	memcpy(f + 30, f + 26, 4);
	memcpy(f + 26, &ip, 4);
	if (f[23] == 1 && !((f[20] << 8 | f[21]) & 0x3fff) && f[34] == 8) {
		f[34] = 0;
		put16(f + 36, 0);
		put16(f + 36, ~fold(sum_of(f + 34, len - 34)));
	}
	to_guest(f, len);
}

static int transmit(void *ctx, const struct rs_e1000_frame *f)
{
	static u8 buf[WIRE_FRAME];
	u32 at = 0, i;

	(void)ctx;
	if (f->len > sizeof(buf) || f->mss)
		return 0;
	for (i = 0; i < f->nsegs; i++) {
		memcpy(buf + at, (void *)f->seg[i].gpa, f->seg[i].len);
		at += f->seg[i].len;
	}
	if (f->l4_sum)
		put16(buf + f->l4_sum_at, ~fold(sum_of(buf + f->l4_start, at - f->l4_start)));
	wire_sent++;
	memcpy(wire_last, buf, at);
	wire_last_len = at;
	if (wire_watch && wire_watch(buf, at))
		return 0;
	if (wire_deaf || chance(wire_faults.lose))
		return 0;
	host_machine(buf, at);
	return 0;
}

static const struct rs_e1000_ops ops = {
	.read = mem_read, .write = mem_write, .or32 = mem_or32, .transmit = transmit,
	.barrier = mem_barrier, .now_ns = now_ns,
};

void wire_init(void)
{
	queue = malloc(QUEUE * sizeof(*queue));
	dev = rs_e1000_new(&ops, NULL);
	rs_e1000_reset(dev, guest_mac);
	rs_e1000_set_link(dev, true);
}

void wire_end(void)
{
	rs_e1000_free(dev);
	free(queue);
}

static int copy_frame(void *frame, u32 offset, u64 gpa, u32 n)
{
	memcpy((void *)gpa, ((struct frame *)frame)->bytes + offset, n);
	return 0;
}

bool wire_run(void)
{
	bool moved = false;
	u32 what = 0, w;

	if (wire_stopped)
		return false;
	rs_e1000_awake(dev);
	moved = rs_e1000_tx(dev, 64, &w);
	what |= w;
	while (head != tail) {
		struct frame *f = &queue[head % QUEUE];
		int err = rs_e1000_rx(dev, f->len, -1, false, copy_frame, f, &w);

		what |= w;
		if (err == -ENOBUFS)
			break;
		head++;
		wire_received++;
		moved = true;
	}
	what |= rs_e1000_publish(dev);
	if (what & RS_E1000_IRQ)
		wire_irq();
	if (!moved)
		rs_e1000_sleep(dev, head != tail);
	return moved;
}

long wire_hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	u32 what = 0;
	long ret;

	if (a0)
		return RS_HC_ENODEV;
	switch (nr) {
	case RS_HC_NIC_READ: ret = rs_e1000_reg_read(dev, (u32)a1, &what); break;
	case RS_HC_NIC_WRITE:
		what = rs_e1000_reg_write(dev, (u32)a1, (u32)a2);
		ret = 0;
		break;
	case RS_HC_NIC_DOORBELL:
		wire_doorbells++;
		ret = 0;
		break;
	default: return RS_HC_ENOSYS;
	}
	if (what & RS_E1000_IRQ)
		wire_irq();
	return ret;
}
