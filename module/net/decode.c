// SPDX-License-Identifier: GPL-2.0-only
/*
 * decode.c - see decode.h
 *
 * The instruction is read once, front to back, by a cursor that knows where the bytes end: prefixes,
 * opcode, ModRM, SIB, displacement, immediate. An address relative to RIP is relative to the next
 * instruction, so it is finished last. (Encoding: Intel SDM volume 2, chapter 2; AMD64 APM volume 3,
 * chapter 1.)
 */
#include "decode.h"

#define REX_W		8
#define REX_R		4
#define REX_X		2
#define REX_B		1

/* A cursor over the bytes; past the end it gives zeros and remembers that. */
struct bytes {
	const u8 *at;
	u32 n, pos;
	bool ended;
};

static u8 next(struct bytes *b)
{
	if (b->pos >= b->n) {
		b->ended = true;
		return 0;
	}
	return b->at[b->pos++];
}

static u64 next_le(struct bytes *b, u32 n)
{
	u64 v = 0;
	u32 i;

	for (i = 0; i < n; i++)
		v |= (u64)next(b) << (8 * i);
	return v;
}

static u64 sign_extend(u64 v, u32 size)
{
	const u32 shift = 64 - 8 * size;

	return (u64)((s64)(v << shift) >> shift);
}

static u64 mask_of(u32 size)
{
	return size == 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

struct insn {
	u8 rex, modrm;
	bool small;		/* 66 */
	u64 segment;		/* base of FS or GS, else 0 */
	bool rip_relative;
};

/* Without REX, registers 4 to 7 of a byte are AH, CH, DH, BH. */
static bool is_high(const struct insn *in, u32 size, u32 reg)
{
	return size == 1 && !in->rex && reg >= 4;
}

static void prefixes(struct bytes *b, const struct rs_mov_cpu *cpu, struct insn *in, u8 *opcode)
{
	u8 c;

	for (;;) {
		c = next(b);
		if (b->ended)
			return;
		switch (c) {
		case 0x66:
			in->small = true;
			break;
		case 0x26: case 0x2e: case 0x36: case 0x3e:
			break;
		case 0x64:
			in->segment = cpu->fs_base;
			break;
		case 0x65:
			in->segment = cpu->gs_base;
			break;
		default:
			if ((c & 0xf0) == 0x40) {
				/* counts only directly before the opcode, so the last one wins, or none */
				in->rex = c;
				continue;
			}
			*opcode = c;
			return;
		}
		in->rex = 0;
	}
}

/* ModRM, SIB and displacement; false: the operand is a register, not memory. */
static bool address(struct bytes *b, const struct rs_mov_cpu *cpu, struct insn *in, u64 *ea)
{
	u32 mod, rm, base, index, scale;
	u8 sib;

	in->modrm = next(b);
	mod = in->modrm >> 6;
	rm = in->modrm & 7;
	if (mod == 3)
		return false;

	*ea = 0;
	if (rm == 4) {
		sib = next(b);
		scale = sib >> 6;
		index = (sib >> 3 & 7) | (in->rex & REX_X ? 8 : 0);
		base = sib & 7;
		if (index != 4)
			*ea = cpu->gpr[index] << scale;
		if (base == 5 && mod == 0)
			*ea += sign_extend(next_le(b, 4), 4);
		else
			*ea += cpu->gpr[base | (in->rex & REX_B ? 8 : 0)];
	} else if (rm == 5 && mod == 0) {
		*ea = sign_extend(next_le(b, 4), 4);
		in->rip_relative = true;
	} else {
		*ea = cpu->gpr[rm | (in->rex & REX_B ? 8 : 0)];
	}
	if (mod == 1)
		*ea += sign_extend(next(b), 1);
	else if (mod == 2)
		*ea += sign_extend(next_le(b, 4), 4);
	return true;
}

static u32 reg_of(const struct insn *in)
{
	return (in->modrm >> 3 & 7) | (in->rex & REX_R ? 8 : 0);
}

static void load(const struct insn *in, struct rs_mov *mov, u32 reg, u32 size, u32 reg_size, bool sign)
{
	mov->size = size;
	mov->reg_size = reg_size;
	mov->sign = sign;
	mov->high = is_high(in, reg_size, reg);
	mov->reg = mov->high ? reg - 4 : reg;
}

static void store(const struct insn *in, const struct rs_mov_cpu *cpu, struct rs_mov *mov, u32 reg, u32 size)
{
	mov->write = true;
	mov->size = size;
	mov->value = is_high(in, size, reg) ? cpu->gpr[reg - 4] >> 8 : cpu->gpr[reg];
}

int rs_mov_decode(const u8 *insn, u32 n, const struct rs_mov_cpu *cpu, struct rs_mov *mov)
{
	struct bytes b = { .at = insn, .n = min_t(u32, n, RS_MOV_MAX) };
	struct insn in = { 0 };
	bool known = true;
	u32 wide;
	u8 op = 0;

	memset(mov, 0, sizeof(*mov));
	prefixes(&b, cpu, &in, &op);
	if (b.ended)
		goto out;
	wide = in.rex & REX_W ? 8 : in.small ? 2 : 4;

	switch (op) {
	case 0x88: case 0x89:
		known = address(&b, cpu, &in, &mov->ea);
		store(&in, cpu, mov, reg_of(&in), op & 1 ? wide : 1);
		break;
	case 0x8a: case 0x8b:
		known = address(&b, cpu, &in, &mov->ea);
		load(&in, mov, reg_of(&in), op & 1 ? wide : 1, op & 1 ? wide : 1, false);
		break;
	case 0xc6: case 0xc7:
		known = address(&b, cpu, &in, &mov->ea) && !(in.modrm >> 3 & 7);
		mov->write = true;
		mov->size = op & 1 ? wide : 1;
		mov->value = next_le(&b, min_t(u32, mov->size, 4));
		if (mov->size == 8)
			mov->value = sign_extend(mov->value, 4);
		break;
	case 0xa0: case 0xa1:
		mov->ea = next_le(&b, 8);
		load(&in, mov, 0, op & 1 ? wide : 1, op & 1 ? wide : 1, false);
		break;
	case 0xa2: case 0xa3:
		mov->ea = next_le(&b, 8);
		store(&in, cpu, mov, 0, op & 1 ? wide : 1);
		break;
	case 0x63:
		/* without REX.W it extends nothing, and the makers disagree about 66 */
		known = in.rex & REX_W && address(&b, cpu, &in, &mov->ea);
		load(&in, mov, reg_of(&in), 4, 8, true);
		break;
	case 0x0f:
		op = next(&b);
		if (b.ended)
			break;
		known = (op & 0xf6) == 0xb6 && address(&b, cpu, &in, &mov->ea);
		/* the register is never a byte here, so its number needs no look at REX */
		load(&in, mov, reg_of(&in), op & 1 ? 2 : 1, wide, op & 8);
		break;
	default:
		known = false;
	}
	if (!known)
		return -EINVAL;
out:
	/* An end within RS_MOV_MAX bytes may be that of a page; one behind them is no instruction. */
	if (b.ended)
		return n < RS_MOV_MAX ? -ENODATA : -EINVAL;
	mov->len = b.pos;
	mov->value &= mask_of(mov->size);
	if (in.rip_relative)
		mov->ea += cpu->rip + b.pos;
	mov->ea += in.segment;
	return 0;
}

u64 rs_mov_result(const struct rs_mov *mov, u64 old, u64 value)
{
	u64 mask = mask_of(mov->reg_size);

	value &= mask_of(mov->size);
	if (mov->sign)
		value = sign_extend(value, mov->size);
	value &= mask;
	if (mov->high)
		return (old & ~0xff00ull) | value << 8;
	return mov->reg_size >= 4 ? value : (old & ~mask) | value;
}
