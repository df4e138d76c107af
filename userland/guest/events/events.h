/* SPDX-License-Identifier: MIT */
/*
 * events.h - what the guest kernel tells about itself, in its second image
 *
 * The kernel is linked twice. kernel.elf has nothing of this directory, so events that nobody wants
 * cost no instruction. traced.elf is made of the same objects and of these two files, linked with
 * --wrap for the functions in events.mk: calls from one object to another arrive in hooks.c, which
 * calls the function and says what it did. What a function did inside is seen from outside, by
 * what has changed: counters, the page-table entry, the frame. So no line of the kernel knows of
 * events, and no hook can be forgotten in one of two versions of a path.
 *
 * ring.c writes events (ringside_guest.h: struct rs_trace_event), hooks.c says which.
 */
#ifndef RS_EVENTS_H
#define RS_EVENTS_H

#include "../proc/proc.h"

/** events_on() - is somebody interested in type @type (RS_TRACE_*)? */
bool events_on(u32 type);

/**
 * event() - writes one event of the CPU and thread that we are on
 * @e: type, vector, cause, addr, extra are the caller's; the rest is filled in here. @f: where it
 * happened, for rip and place; may be NULL. @callers: the places of who called are wanted, too.
 * Nothing of the process's memory is made present for it. May ask the host to empty the ring.
 */
void event(struct rs_trace_event e, const struct rs_frame *f, bool callers);

/** event_name() - the number of @name, which the host has been told; 0: there are too many */
u32 event_name(const char *name);

/** event_place() - of @va in the current address space, or of the kernel */
u64 event_place(u64 va);

/** event_sample_wanted() - the host wants to know where this CPU is; it does so once */
bool event_sample_wanted(void);

#endif
