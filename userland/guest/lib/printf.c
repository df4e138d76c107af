// SPDX-License-Identifier: MIT
/*
 * printf.c - formatted text into buffers
 *
 * One pass over the format; every conversion ends as "prefix, zeros, digits or bytes" padded to the
 * width. Text beyond the buffer is counted, not stored.
 */
#include "printf.h"
#include "string.h"

struct out {
	char *buf;
	size_t size, len;
};

struct spec {
	bool left, zero, plus, space, alt, upper;
	int width, prec;	/* prec -1: none */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void fill(struct out *o, char c, long n)
{
	for (; n > 0; n--)
		put(o, c);
}

/* @prefix, then zeros up to @digits bytes, then @body; all of it padded to the width. */
static void emit(struct out *o, const struct spec *s, const char *prefix, const char *body,
		 size_t len, size_t digits)
{
	size_t plen = strlen(prefix), zeros = digits > len ? digits - len : 0;
	long pad = (long)s->width - (long)(plen + zeros + len);

	if (!s->left)
		fill(o, ' ', pad);
	while (*prefix)
		put(o, *prefix++);
	fill(o, '0', zeros);
	while (len--)
		put(o, *body++);
	if (s->left)
		fill(o, ' ', pad);
}

static void emit_number(struct out *o, const struct spec *s, u64 v, int base, bool neg, bool sign)
{
	const char *set = s->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	const char *prefix = "";
	char buf[24];
	size_t len = 0, digits;
	u64 rest = v;

	if (neg)
		prefix = "-";
	else if (sign && s->plus)
		prefix = "+";
	else if (sign && s->space)
		prefix = " ";
	else if (s->alt && base == 16 && v)
		prefix = s->upper ? "0X" : "0x";

	if (v || s->prec != 0) {
		do {
			buf[sizeof(buf) - 1 - len++] = set[rest % base];
			rest /= base;
		} while (rest);
	}
	digits = s->prec > 0 ? s->prec : 0;
	if (s->alt && base == 8 && digits <= len && (v || !len))
		digits = len + 1;
	if (s->zero && !s->left && s->prec < 0 && s->width > (int)strlen(prefix))
		digits = max(digits, (size_t)s->width - strlen(prefix));
	emit(o, s, prefix, buf + sizeof(buf) - len, len, digits);
}

static int read_number(const char **f)
{
	int n = 0;

	for (; **f >= '0' && **f <= '9'; (*f)++)
		n = min(n * 10 + (**f - '0'), 100000);
	return n;
}

static const char *read_spec(const char *f, struct spec *s, va_list *ap)
{
	*s = (struct spec){ .prec = -1 };
	for (;; f++) {
		if (*f == '-')
			s->left = true;
		else if (*f == '0')
			s->zero = true;
		else if (*f == '+')
			s->plus = true;
		else if (*f == ' ')
			s->space = true;
		else if (*f == '#')
			s->alt = true;
		else
			break;
	}
	if (*f == '*') {
		s->width = va_arg(*ap, int);
		if (s->width < 0) {
			s->left = true;
			s->width = s->width < -100000 ? 100000 : -s->width;
		}
		s->width = min(s->width, 100000);
		f++;
	} else {
		s->width = read_number(&f);
	}
	if (*f == '.') {
		f++;
		if (*f == '*') {
			s->prec = va_arg(*ap, int);
			s->prec = s->prec < 0 ? -1 : min(s->prec, 100000);
			f++;
		} else {
			s->prec = read_number(&f);
		}
	}
	return f;
}

/* Length modifiers become a size in bytes. */
static const char *read_length(const char *f, size_t *size)
{
	*size = sizeof(int);
	if (*f == 'h') {
		f++;
		*size = sizeof(short);
		if (*f == 'h') {
			f++;
			*size = 1;
		}
	} else if (*f == 'l') {
		f++;
		*size = sizeof(long);
		if (*f == 'l')
			f++;
	} else if (*f == 'z' || *f == 't' || *f == 'j') {
		f++;
		*size = sizeof(long);
	}
	return f;
}

static s64 narrow_signed(s64 v, size_t size)
{
	return size == 1 ? (s8)v : size == 2 ? (s16)v : size == 4 ? (s32)v : v;
}

static u64 narrow_unsigned(u64 v, size_t size)
{
	return size == 1 ? (u8)v : size == 2 ? (u16)v : size == 4 ? (u32)v : v;
}

/* One conversion at @f (behind the %); returns behind it. */
static const char *convert(struct out *o, const char *f, va_list *ap)
{
	struct spec s;
	size_t size;
	const char *str;
	char c;
	s64 sv;
	u64 v;

	f = read_length(read_spec(f, &s, ap), &size);
	switch (*f) {
	case 'd':
	case 'i':
		sv = narrow_signed(size == 8 ? va_arg(*ap, s64) : va_arg(*ap, int), size);
		emit_number(o, &s, sv < 0 ? -(u64)sv : (u64)sv, 10, sv < 0, true);
		break;
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		v = narrow_unsigned(size == 8 ? va_arg(*ap, u64) : va_arg(*ap, unsigned int), size);
		s.upper = *f == 'X';
		emit_number(o, &s, v, *f == 'u' ? 10 : *f == 'o' ? 8 : 16, false, false);
		break;
	case 'p':
		v = (u64)va_arg(*ap, void *);
		s.prec = 16;
		s.alt = true;
		if (v)
			emit_number(o, &s, v, 16, false, false);
		else
			emit(o, &s, "0x", "0", 1, 16);
		break;
	case 'c':
		c = va_arg(*ap, int);
		emit(o, &s, "", &c, 1, 0);
		break;
	case 's':
		str = va_arg(*ap, const char *);
		if (!str)
			str = "(null)";
		emit(o, &s, "", str, s.prec < 0 ? strlen(str) : strnlen(str, s.prec), 0);
		break;
	case '%':
		put(o, '%');
		break;
	case 0:
		return f;
	default:	/* shown as it stands */
		put(o, '%');
		put(o, *f);
	}
	return f + 1;
}

int rs_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .buf = buf, .size = size };
	va_list args;

	va_copy(args, ap);
	while (*fmt) {
		if (*fmt == '%')
			fmt = convert(&o, fmt + 1, &args);
		else
			put(&o, *fmt++);
	}
	va_end(args);
	if (size)
		buf[min(o.len, size - 1)] = 0;
	return o.len;
}

int rs_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = rs_vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

void text_printf(struct textbuf *t, const char *fmt, ...)
{
	size_t room = t->size - t->len;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = rs_vsnprintf(t->buf + t->len, room, fmt, ap);
	va_end(ap);
	if (n >= room) {
		t->lost = true;
		n = room ? room - 1 : 0;
	}
	t->len += n;
}

void text_putc(struct textbuf *t, char c)
{
	if (t->len + 1 >= t->size) {
		t->lost = true;
		return;
	}
	t->buf[t->len++] = c;
	t->buf[t->len] = 0;
}

void text_quote(struct textbuf *t, const char *s, size_t n)
{
	static const char named[] = "\aa\bb\tt\nn\vv\ff\rr\"\"\\\\";
	size_t i, k;

	text_putc(t, '"');
	for (i = 0; i < n; i++) {
		u8 c = s[i];

		for (k = 0; named[k]; k += 2)
			if ((u8)named[k] == c)
				break;
		if (named[k]) {
			text_putc(t, '\\');
			text_putc(t, named[k + 1]);
		} else if (c >= 0x20 && c < 0x7f) {
			text_putc(t, c);
		} else if (i + 1 < n && s[i + 1] >= '0' && s[i + 1] <= '9') {
			text_printf(t, "\\%03o", c);	/* a digit follows: all three */
		} else {
			text_printf(t, "\\%o", c);
		}
	}
	text_putc(t, '"');
}
