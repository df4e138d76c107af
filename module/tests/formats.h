/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * formats.h - nested-entry formats for the tests
 *
 * Written down from the manuals a second time (SDM vol. 3C table 29-1 ff., APM vol. 2 section
 * 15.25), not taken from vmx/ and svm/: a wrong constant there is then found by formats_agree in
 * pgtable_kunit.c.
 */
#ifndef RS_TEST_FORMATS_H
#define RS_TEST_FORMATS_H

#include <linux/bits.h>
#include "mmu/pte_format.h"

static const struct rs_pte_format __maybe_unused test_npt = {
	.name = "npt", .present = BIT_ULL(0), .table = 0x7, .leaf = BIT_ULL(0) | BIT_ULL(2),
	.write = BIT_ULL(1), .noexec = BIT_ULL(63), .huge = BIT_ULL(7),
	.accessed = BIT_ULL(5), .dirty = BIT_ULL(6),
};

/* An encryption bit in every entry must not be taken for an address bit. */
static const struct rs_pte_format __maybe_unused test_npt_sme = {
	.name = "npt-sme", .present = BIT_ULL(0), .table = 0x7, .leaf = BIT_ULL(0) | BIT_ULL(2),
	.write = BIT_ULL(1), .noexec = BIT_ULL(63), .huge = BIT_ULL(7),
	.accessed = BIT_ULL(5), .dirty = BIT_ULL(6), .sme = BIT_ULL(47),
};

static const struct rs_pte_format __maybe_unused test_ept = {
	.name = "ept", .present = 0x7, .table = 0x7, .leaf = (6 << 3) | BIT_ULL(6),
	.read = BIT_ULL(0), .write = BIT_ULL(1), .exec = BIT_ULL(2), .huge = BIT_ULL(7),
	.accessed = BIT_ULL(8), .dirty = BIT_ULL(9),
};

/* A CPU without EPT accessed/dirty bits and without 2 MiB entries. */
static const struct rs_pte_format __maybe_unused test_ept_old = {
	.name = "ept-old", .present = 0x7, .table = 0x7, .leaf = (6 << 3) | BIT_ULL(6),
	.read = BIT_ULL(0), .write = BIT_ULL(1), .exec = BIT_ULL(2),
};

#endif /* RS_TEST_FORMATS_H */
