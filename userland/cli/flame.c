// SPDX-License-Identifier: MIT
/*
 * Flame graphs: a tree of names, each with what was counted in it and below, as rectangles.
 *
 * The root is at the bottom, what is called above its caller; the width is the count. Widths are made
 * from counts alone, each from its own left and right edge, so neighbours meet exactly and the parts of
 * a rectangle never are wider than it is. What is narrower than a tenth of a unit is not drawn; it is
 * counted in its parent all the same. The full text is in each rectangle's <title>, which a browser
 * shows under the pointer, and in data-n what was counted; no script.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define WIDTH		1200.0
#define ROW		17
#define TEXT_WIDTH	6.6	/* of a character */
#define TOP		30
#define MAX_DEPTH	80
#define NARROW		0.1

struct node {
	char *name;
	uint64_t n;
	struct node *child, *next;
};

struct flame {
	const char *title, *what;
	struct node root;
	unsigned int depth;
};

static void no_memory(void)
{
	fprintf(stderr, "ringside: out of memory\n");
	exit(1);
}

struct flame *flame_new(const char *title, const char *what)
{
	struct flame *f = calloc(1, sizeof(*f));

	if (!f)
		no_memory();
	f->title = title;
	f->what = what;
	f->root.name = "all";
	return f;
}

/* The child of that name, in the order of the alphabet, so that like runs look alike. */
static struct node *child_of(struct node *p, const char *name)
{
	struct node **at = &p->child, *n;
	int cmp = -1;

	while (*at && (cmp = strcmp((*at)->name, name)) < 0)
		at = &(*at)->next;
	if (*at && !cmp)
		return *at;
	n = calloc(1, sizeof(*n));
	if (!n || !(n->name = strdup(name)))
		no_memory();
	n->next = *at;
	*at = n;
	return n;
}

void flame_add(struct flame *f, const char *const *path, unsigned int len, uint64_t n)
{
	struct node *at = &f->root;
	unsigned int i;

	if (len > MAX_DEPTH)
		len = MAX_DEPTH;
	at->n += n;
	for (i = 0; i < len; i++) {
		at = child_of(at, path[i]);
		at->n += n;
	}
	if (len + 1 > f->depth)
		f->depth = len + 1;
}

static void xml(FILE *out, const char *s, size_t most)
{
	for (; *s && most; s++, most--) {
		unsigned char c = *s;

		if (c == '<')
			fputs("&lt;", out);
		else if (c == '>')
			fputs("&gt;", out);
		else if (c == '&')
			fputs("&amp;", out);
		else if (c == '"')
			fputs("&quot;", out);
		else
			fputc(c < 32 || c > 126 ? '?' : c, out);
	}
}

/* Colours of a fire, the same for the same name. */
static void colour(FILE *out, const char *name)
{
	unsigned int h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	fprintf(out, "rgb(%u,%u,%u)", 205 + h % 50, 100 + (h >> 8) % 110, 40 + (h >> 16) % 40);
}

static double edge(const struct flame *f, uint64_t at)
{
	return (double)at * WIDTH / (double)f->root.n;
}

static void draw(const struct flame *f, const struct node *n, uint64_t at, unsigned int level,
		 FILE *out)
{
	double x = edge(f, at), w = edge(f, at + n->n) - x;
	unsigned int y = TOP + (f->depth - 1 - level) * ROW;
	size_t room = w > 3 * TEXT_WIDTH ? (size_t)((w - 6) / TEXT_WIDTH) : 0;
	const struct node *c;

	if (w < NARROW)
		return;
	fprintf(out, "<g data-n=\"%" PRIu64 "\"><title>", n->n);
	xml(out, n->name, ~0ul);
	fprintf(out, " (%" PRIu64 " %s, %.2f%%)</title><rect x=\"%.4f\" y=\"%u\" width=\"%.4f\" "
		"height=\"%d\" rx=\"1\" fill=\"", n->n, f->what,
		100.0 * (double)n->n / (double)f->root.n, x, y, w, ROW - 1);
	colour(out, n->name);
	fprintf(out, "\"/>");
	if (room >= 3) {
		fprintf(out, "<text x=\"%.2f\" y=\"%u\">", x + 3, y + ROW - 5);
		xml(out, n->name, strlen(n->name) > room ? room - 2 : room);
		fprintf(out, "%s</text>", strlen(n->name) > room ? ".." : "");
	}
	fprintf(out, "</g>\n");
	for (c = n->child; c; c = c->next) {
		draw(f, c, at, level + 1, out);
		at += c->n;
	}
}

void flame_write(const struct flame *f, FILE *out)
{
	unsigned int height = TOP + (f->depth ? f->depth : 1) * ROW + 10;

	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%u\" "
		"viewBox=\"-5 0 %.0f %u\" font-family=\"monospace\" font-size=\"11\">\n"
		"<rect x=\"-5\" y=\"0\" width=\"%.0f\" height=\"%u\" fill=\"#fffdf5\" "
		"class=\"paper\"/>\n<text x=\"0\" y=\"19\" font-size=\"14\">",
		WIDTH + 10, height, WIDTH + 10, height, WIDTH + 10, height);
	xml(out, f->title, 150);
	fprintf(out, " - %" PRIu64 " %s</text>\n", f->root.n, f->what);
	if (f->root.n)
		draw(f, &f->root, 0, 0, out);
	fprintf(out, "</svg>\n");
}
