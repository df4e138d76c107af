/* SPDX-License-Identifier: MIT */
/*
 * peek.h - reading the memory of a process that is not the current one
 */
#ifndef RS_MM_PEEK_H
#define RS_MM_PEEK_H

#include "vma.h"

/**
 * mm_peek() - copies up to @n bytes at @va of @mm to @dst, from the front; returns how many it were
 * Pages that are not there yet are made present, as if the process itself had read them; where
 * nothing is mapped, or without memory, the copy ends. Does not sleep; may ask the host for pieces
 * of a file.
 */
size_t mm_peek(struct mm *mm, void *dst, u64 va, size_t n);

#endif
