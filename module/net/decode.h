/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * decode.h - what a MOV of the guest does to memory, from its bytes and registers
 *
 * For registers of a device that are reached by memory accesses which trap: the access is finished by
 * the module, so the instruction has to be understood. Drivers use plain MOVs for that, so those are
 * the ones understood, in 64-bit mode (the caller refuses other modes):
 *
 *	88 89 8A 8B	register to memory, memory to register
 *	C6 C7 /0	immediate to memory
 *	A0 - A3		AL ... RAX and an absolute address
 *	0F B6 B7 BE BF, REX.W 63	MOVZX, MOVSX, MOVSXD from memory
 *
 * with REX, the 66 prefix, every form of ModRM, SIB and displacement, relative to RIP too, and FS and GS
 * (prefixes for the other segments mean nothing in this mode and are passed over). Everything else is
 * refused, also what is rare but correct: 67, LOCK, REP, string moves, read-modify-write. Pure: no guest
 * memory is touched here.
 *
 * The protocol of the caller: fetch up to RS_MOV_MAX bytes at RIP (fewer when the next page is not to be
 * had); rs_mov_decode(); check that @ea leads to the address that trapped; apply the device's rule for
 * sizes; for a read put rs_mov_result() into the register; RIP += @len.
 *
 * The rule of the NIC's register page: an access must be of 4 bytes, at a multiple of 4. Others, and
 * instructions that are refused here, are a general protection fault, error code 0, in the guest. Nothing
 * has happened then. (A 4-byte access is one whose @size is 4: MOVSXD and a REX.W-less MOV qualify.)
 */
#ifndef RS_DECODE_H
#define RS_DECODE_H

#include "e1000_os.h"

#define RS_MOV_MAX	15	/* bytes of an instruction at most */

/** struct rs_mov_cpu - what of a vCPU an address depends on; @gpr in the order of their numbers: RAX, RCX, RDX, RBX, RSP ... R15 */
struct rs_mov_cpu {
	u64 gpr[16];
	u64 rip;		/* of the instruction */
	u64 fs_base, gs_base;
};

/**
 * struct rs_mov - one access
 * @ea: linear address of the lowest byte. Not checked to be canonical
 * @value: a write: what is to be stored, its low @size bytes; the rest is 0
 * @len: bytes of the instruction
 * @size: bytes of memory: 1, 2, 4, 8
 * @reg: a read: number of the register; @reg_size bytes of it are written (@high: bits 8 to 15). 4 clears the upper half
 * @sign: a read: sign-extend from @size to @reg_size, otherwise zero-extend
 */
struct rs_mov {
	u64 ea, value;
	u8 len, size;
	bool write;
	u8 reg, reg_size;
	bool high, sign;
};

/**
 * rs_mov_decode() - understand the instruction in the @n bytes at @insn
 * 0; -ENODATA: it goes on behind @n bytes (n < RS_MOV_MAX); -EINVAL: not one of those above, or longer than RS_MOV_MAX.
 */
int rs_mov_decode(const u8 *insn, u32 n, const struct rs_mov_cpu *cpu, struct rs_mov *mov);

/** rs_mov_result() - what register @mov->reg, so far @old, is after a read that found @value in memory */
u64 rs_mov_result(const struct rs_mov *mov, u64 old, u64 value);

#endif /* RS_DECODE_H */
