/* SPDX-License-Identifier: MIT */
/*
 * irq.h - interrupts off, nested
 *
 * irq_push() turns interrupts off and counts; irq_pop() counts back and turns them on again when
 * the count is 0 and the outermost irq_push() had found them on. So whoever needs them off says so
 * without knowing whether a caller needed that too, and may leave in another order than it entered:
 * only the number matters. The count belongs to the CPU, not to the thread: between push and pop
 * the thread cannot be moved, because nothing interrupts it and it must not sleep (sync/waiter.c
 * asserts that).
 */
#ifndef RS_ARCH_IRQ_H
#define RS_ARCH_IRQ_H

#include "cpu.h"
#include "../lib/assert.h"

#ifdef RS_HOSTED
static inline bool irqs_on(void)
{
	return this_cpu()->hosted_if;
}

static inline void irqs_set(bool on)
{
	this_cpu()->hosted_if = on;
}
#else
/** irqs_on() - RFLAGS.IF */
static inline bool irqs_on(void)
{
	u64 flags;

	asm volatile("pushfq\n\tpopq %0" : "=r"(flags) : : "memory");
	return flags & RFLAGS_IF;
}

static inline void irqs_set(bool on)
{
	if (on)
		asm volatile("sti" : : : "memory");
	else
		asm volatile("cli" : : : "memory");
}
#endif

/** irq_push() - interrupts off until the matching irq_pop(), on this CPU */
static inline void irq_push(void)
{
	bool on = irqs_on();
	struct cpu *cpu;

	/* First off, then the count: an interrupt in between would find a count not true. */
	if (on)
		irqs_set(false);
	cpu = this_cpu();
	if (!cpu->irq_depth++)
		cpu->irq_was_on = on;
}

/** irq_pop() - undoes one irq_push() of this CPU */
static inline void irq_pop(void)
{
	struct cpu *cpu = this_cpu();

	ASSERT(cpu->irq_depth);
	if (!--cpu->irq_depth && cpu->irq_was_on)
		irqs_set(true);
}

#endif
