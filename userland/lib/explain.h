/* SPDX-License-Identifier: MIT */
/*
 * explain.h - one line for every refusal, for --explain
 */
#ifndef RS_EXPLAIN_H
#define RS_EXPLAIN_H

#include <stdint.h>

struct rs_sandbox;

/**
 * rs_explain_guest() - RS_CALL_EXPLAIN: the guest kernel refused call @nr with @error; @path_gpa is
 * a path or 0. All hostile.
 */
void rs_explain_guest(const struct rs_sandbox *sb, uint64_t nr, uint64_t error, uint64_t path_gpa);

#endif /* RS_EXPLAIN_H */
