/* SPDX-License-Identifier: MIT */
/*
 * confine.h - the second wall: what this process may do even when its guest kernel has been taken
 * over. See confine.c.
 */
#ifndef RS_CONFINE_H
#define RS_CONFINE_H

#include "program.h"
#include "sandbox.h"

/**
 * rs_confine_roots() - fill in sb->roots from --ro, --rw and the defaults
 * Every path of @ro and @rw must exist. Returns 0, or -1 with words in @why.
 */
int rs_confine_roots(struct rs_sandbox *sb, const char *const *ro, const char *const *rw,
		     const struct rs_program *program, char *why);

/**
 * rs_confine_descriptors() - close everything but 0, 1, 2; make sure that these three numbers are
 * taken. Before anything is opened.
 */
int rs_confine_descriptors(char *why);

/**
 * rs_confine() - no_new_privs, limits, Landlock, seccomp, in this order. Irrevocable. Returns 0, or
 * -1 with words in @why.
 */
int rs_confine(struct rs_sandbox *sb, char *why);

/** rs_landlock_abi() - version of Landlock's interface, or -errno */
int rs_landlock_abi(void);

/** rs_seccomp_available() - whether filters can be installed */
bool rs_seccomp_available(void);

#endif /* RS_CONFINE_H */
