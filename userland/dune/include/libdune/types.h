/* SPDX-License-Identifier: MIT */
/*
 * types.h - the integer types of programs written for Dune
 *
 * C's own, from the C library, so that they agree with whatever else a program includes; and three names more.
 */
#ifndef RINGSIDE_DUNE_TYPES_H
#define RINGSIDE_DUNE_TYPES_H

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef int bool_t;
typedef uint64_t physaddr_t;	/* a guest physical address */
typedef uint64_t ppn_t;		/* its page number */

#endif
