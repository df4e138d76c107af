/* SPDX-License-Identifier: MIT */
/*
 * run.h - libdune, inside: what its parts that run in the ring share (entry.c, trap.c, util.c, sys.c)
 */
#ifndef DUNE_RUN_H
#define DUNE_RUN_H

#include <stdbool.h>
#include "dune.h"

#pragma GCC visibility push(hidden)

/* Where a handler finds it without a call, also in a shared library. */
#define TLS	__attribute__((tls_model("initial-exec")))

/* Set by dune_vm_default_pgflt_handler() for whoever has called the program's handler: the fault is a signal. */
extern __thread bool dune_gave_up TLS;

/* trap.c: page faults are the library's from now on. 0, -errno */
int dune_trap_init(void);

#pragma GCC visibility pop

#endif
