/* SPDX-License-Identifier: MIT */
/*
 * big_lock.h - one lock for a whole kernel
 *
 * The simple variant: a CPU takes it on the way in from ring 3 and releases it on the way out, so
 * one CPU at a time is in the kernel and nothing else there needs a lock. It is the lowest in rank,
 * a ticket lock, so that no CPU is kept out for good, and not recursive: a second big_lock() is a
 * bug that the checker reports.
 */
#ifndef RS_SYNC_BIG_LOCK_H
#define RS_SYNC_BIG_LOCK_H

#include "ticket.h"

extern struct ticket_lock rs_big_lock;

#define big_lock()		ticket_lock_at(&rs_big_lock, LOCK_HERE)
#define big_unlock()		ticket_unlock_at(&rs_big_lock, LOCK_HERE)
#define big_lock_held()		ticket_held(&rs_big_lock)
#define big_assert_held()	ticket_assert_held(&rs_big_lock)

#endif
