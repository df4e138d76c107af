/* SPDX-License-Identifier: MIT */
/*
 * printf.h - formatted text
 *
 * The subset of C's printf that is of use without floating point: flags - 0 + space #, width and
 * precision (also *), length h hh l ll z t j, conversions d i u x X o c s p %. %p prints 0x and 16
 * digits. NULL for %s prints (null). There is no %n.
 */
#ifndef RS_LIB_PRINTF_H
#define RS_LIB_PRINTF_H

#include "types.h"

/**
 * rs_vsnprintf() - formats into @buf (@size bytes, NUL included); returns the length the whole text
 * has
 */
int rs_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int rs_snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

/**
 * struct textbuf - text built piece by piece in a buffer of fixed size
 * What does not fit is dropped; @lost says that this happened.
 */
struct textbuf {
	char *buf;
	size_t size, len;
	bool lost;
};

#define TEXTBUF(b) { .buf = (b), .size = sizeof(b) }

void text_printf(struct textbuf *t, const char *fmt, ...) __printf(2, 3);
void text_putc(struct textbuf *t, char c);
/** text_quote() - @n bytes of @s as a C string literal in double quotes, as strace prints them */
void text_quote(struct textbuf *t, const char *s, size_t n);

#endif
