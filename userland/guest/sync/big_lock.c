// SPDX-License-Identifier: MIT
/*
 * big_lock.c - see big_lock.h
 */
#include "big_lock.h"

struct ticket_lock rs_big_lock = TICKET_LOCK_INIT("big lock", LOCK_RANK_BIG);
