// SPDX-License-Identifier: MIT
/*
 * lib_test.c - printf, strings, lists, bitmaps and trees against what the C library or a plain
 * model says
 */
#include "core.h"
#include "../../userland/guest/lib/avl.h"
#include "../../userland/guest/lib/bitmap.h"
#include "../../userland/guest/lib/list.h"
#include "../../userland/guest/lib/printf.h"

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-truncation"

static void same(const char *fmt, ...)
{
	char a[512], b[512];
	va_list ap, aq;
	int n, m;

	va_start(ap, fmt);
	va_copy(aq, ap);
	n = rs_vsnprintf(a, sizeof(a), fmt, ap);
	m = vsnprintf(b, sizeof(b), fmt, aq);
	va_end(ap);
	va_end(aq);
	CHECK(n == m && !strcmp(a, b), "format '%s': '%s' instead of '%s'", fmt, a, b);
}

/*
 * Every combination of flags, widths and precisions, for every integer conversion and edge values.
 */
static void test_printf(void)
{
	static const char *const lengths[] = { "hh", "h", "", "l", "ll", "z" };
	static const u64 values[] = { 0, 1, 7, 8, 127, 128, 255, 32768, 65535, 2147483647,
				      2147483648, ~0ull, 1ull << 63, 12345678901234567 };
	static const char convs[] = "diuxXo";
	char fmt[32], flags[8];
	u64 tests = 0;

	for (unsigned int f = 0; f < 32; f++) {
		int n = 0;

		for (int i = 0; i < 5; i++)
			if (f >> i & 1)
				flags[n++] = "-0+ #"[i];
		flags[n] = 0;
		for (int w = 0; w < 4; w++) {
			for (int p = 0; p < 4; p++) {
				static const char *const width[] = { "", "1", "9", "24" },
					*const prec[] = { "", ".", ".3", ".20" };

				for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
					for (const char *c = convs; *c; c++) {
						snprintf(fmt, sizeof(fmt), "<%%%s%s%s%s%c>", flags,
							 width[w], prec[p], lengths[l], *c);
						for (size_t v = 0; v < ARRAY_SIZE(values); v++,
						     tests++) {
							if (l < 3)
								same(fmt, (int)values[v]);
							else
								same(fmt, values[v]);
						}
					}
				}
			}
		}
	}
	same("%s|%10s|%-10s|%.3s|%10.2s|%c|%5c|%%", "abc", "abc", "abc", "abcdef", "abcdef", 'x',
	     'y');
	same("%*d|%-*d|%*d|%.*d|%.*s", 6, 42, 6, 42, -6, 42, 4, 42, 2, "abc");
	PASS("printf as the C library has it, %lu formats and values", tests);
}

static void test_printf_limits(void)
{
	char buf[8] = "1234567";
	const char *volatile nothing = NULL;
	struct textbuf t = TEXTBUF(buf);

	CHECK(rs_snprintf(buf, 4, "%s", "abcdef") == 6 && !strcmp(buf, "abc") && buf[4] == '5');
	CHECK(rs_snprintf(NULL, 0, "%d", 1234) == 4);
	CHECK(rs_snprintf(buf, 1, "x") == 1 && !buf[0]);
	CHECK(rs_snprintf(buf, sizeof(buf), "%s", nothing) == 6 && !strcmp(buf, "(null)"));
	text_printf(&t, "%d", 123);
	text_printf(&t, "%s", "abcdef");
	CHECK(t.lost && t.len == 7 && !strcmp(buf, "123abcd"));
	text_putc(&t, 'x');
	CHECK(t.len == 7 && buf[7] == 0);
	{
		char q[64];
		struct textbuf u = TEXTBUF(q);

		text_quote(&u, "a\"\n\0001\001x\377\\", 9);
		CHECK(!strcmp(q, "\"a\\\"\\n\\0001\\1x\\377\\\\\""), "%s", q);
	}
	{
		char p[32];

		rs_snprintf(p, sizeof(p), "%p", (void *)0x1234ul);
		CHECK(!strcmp(p, "0x0000000000001234"), "%s", p);
	}
	PASS("printf at the end of its buffer, text buffers, quoting");
}

static void test_string(void)
{
	const char *end;
	char b[4];

	CHECK(rs_strlcpy(b, "abcdef", 4) == 6 && !strcmp(b, "abc"));
	CHECK(rs_strlcpy(b, "a", 4) == 1 && !strcmp(b, "a"));
	CHECK(rs_strtoul("0x1fz", &end, 0) == 0x1f && *end == 'z');
	CHECK(rs_strtoul("017", NULL, 0) == 15 && rs_strtoul("99", &end, 10) == 99 && !*end);
	CHECK(rs_strtoul("18446744073709551615", NULL, 10) == ~0ull);
	CHECK(rs_strtoul("18446744073709551616", NULL, 10) == ~0ull);
	CHECK(rs_strtoul("x", &end, 10) == 0 && *end == 'x' && rs_strtoul("0x", &end, 0) == 0 &&
	      *end == 'x');
	PASS("strings and numbers");
}

struct item {
	struct list list;
	int v;
};

static void test_list(void)
{
	struct list head = LIST_INIT(head);
	struct item it[5], *p, *q;
	int n = 0;

	for (int i = 0; i < 5; i++) {
		it[i].v = i;
		list_add_tail(&head, &it[i].list);
	}
	list_for_each(p, &head, list)
		CHECK(p->v == n++);
	CHECK(n == 5);
	list_for_each_safe(p, q, &head, list)
		if (p->v % 2)
			list_del(&p->list);
	CHECK(list_first(&head, struct item, list)->v == 0 && list_empty(&it[1].list));
	list_del(&it[1].list);
	list_add(&head, &it[1].list);
	CHECK(list_first(&head, struct item, list) == &it[1]);
	PASS("lists");
}

static void test_bitmap(void)
{
	enum { N = 300 };
	u64 map[BITMAP_WORDS(N)];
	bool model[N];

	for (int round = 0; round < 2000; round++) {
		size_t from = rnd_below(N), want, len = 1 + rnd_below(20), run;
		int density = rnd_below(4);

		memset(map, 0, sizeof(map));
		for (size_t i = 0; i < N; i++) {
			model[i] = density == 3 || rnd_below(4) < (u64)density;
			if (model[i])
				bit_set(map, i);
		}
		for (want = from; want < N && !model[want]; want++)
			;
		CHECK(bit_find_set(map, N, from) == want);
		for (want = from; want < N && model[want]; want++)
			;
		CHECK(bit_find_clear(map, N, from) == want);
		for (want = 0, run = 0; want < N && run < len; want++)
			run = model[want] ? run + 1 : 0;
		CHECK(bit_find_run(map, N, len, false) == (run == len ? want - len : N));
	}
	PASS("bitmaps against arrays");
}

/* Heights, order, sums; returns the height. */
static int check_node(const struct avl_node *n, const struct avl_node *parent, u64 lo, u64 hi,
		      u64 *best)
{
	u64 bl = 0, br = 0;
	int l, r;

	if (!n)
		return 0;
	CHECK(n->parent == parent && n->key >= lo && n->key <= hi);
	l = check_node(n->left, n, lo, n->key - 1, &bl);
	r = check_node(n->right, n, n->key + 1, hi, &br);
	CHECK(abs(l - r) <= 1 && n->height == max(l, r) + 1);
	CHECK(n->best == max(n->own, max(bl, br)));
	*best = n->best;
	return n->height;
}

static void test_avl(void)
{
	enum { N = 400 };
	static struct avl_node node[N];
	static bool in[N];
	struct avl_tree t = { 0 };
	size_t count = 0;

	for (int round = 0; round < 200000; round++) {
		size_t i = 1 + rnd_below(N - 1), k;
		u64 own = rnd_below(50), best;
		struct avl_node *got;

		switch (rnd_below(4)) {
		case 0:
		case 1:
			if (in[i]) {
				struct avl_node twin = { .key = i };

				CHECK(!avl_insert(&t, &twin));
				avl_remove(&t, &node[i]);
				count--;
			} else {
				node[i] = (struct avl_node){ .key = i, .own = own };
				CHECK(avl_insert(&t, &node[i]));
				count++;
			}
			in[i] = !in[i];
			break;
		case 2:
			if (in[i]) {
				node[i].own = own;
				avl_update(&node[i]);
			}
			break;
		}
		for (k = i; k && !in[k]; k--)
			;
		CHECK(avl_floor(&t, i) == (k ? &node[k] : NULL));
		for (k = i - 1; k && !(in[k] && node[k].own >= own); k--)
			;
		got = avl_last_with(&t, i, own);
		CHECK(got == (k ? &node[k] : NULL));
		CHECK(t.count == count);
		if (round % 16 == 0)
			check_node(t.root, NULL, 0, ~0ull, &best);
		if (in[i]) {
			for (k = i + 1; k < N && !in[k]; k++)
				;
			CHECK(avl_next(&node[i]) == (k < N ? &node[k] : NULL));
			for (k = i - 1; k && !in[k]; k--)
				;
			CHECK(avl_prev(&node[i]) == (k ? &node[k] : NULL));
		}
	}
	PASS("trees: 200000 changes, balanced, in order, sums right");
}

int main(int argc, char **argv)
{
	rnd_seed(argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	test_printf();
	test_printf_limits();
	test_string();
	test_list();
	test_bitmap();
	test_avl();
	DONE();
}
