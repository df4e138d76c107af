/* SPDX-License-Identifier: MIT */
/*
 * policy.h - paths: what the guest may reach by name, beyond what Landlock says. See policy.c.
 */
#ifndef RS_POLICY_H
#define RS_POLICY_H

#include <stdbool.h>

/** rs_policy_covers() - must the call be executed by policy.c? */
bool rs_policy_covers(unsigned int nr);

/**
 * rs_policy_host_calls() - the system calls policy.c itself makes, for the seccomp filter; ended by
 * -1
 */
const int *rs_policy_host_calls(void);

#endif /* RS_POLICY_H */
