// SPDX-License-Identifier: MIT
/*
 * window.c - the file window
 *
 * Two things are counted apart. A piece is a range of the window in which the host has mapped a
 * range of a file. A struct file_map is what one mmap or exec asked for: a part of a piece, with a
 * name of its own. Several file_maps may lie in one piece, of one process or of many; and a piece
 * stays for a while when the last of them has gone, because programs are executed again and
 * libraries mapped again. What finds its piece there costs no mapping by the host, no nested
 * faults, and no unmapping.
 *
 * Which pieces are shared and kept: private mappings of regular files, and no others. They are
 * read-only here, and what a process writes goes to pages of its own, so nobody can tell whose
 * piece it is. A shared mapping is undone with its last user: it may write, it counts for what
 * Linux refuses while somebody maps a file (seals of a memfd), and msync is asked about it.
 *
 * When is the file that is to be mapped the one of a piece? A mapping is a window on the page
 * cache: writes, by the sandbox or from outside, and truncation show in it at once, and Linux
 * takes the pages away from nested page tables too. So contents need not be compared, only which
 * file it is: its device and inode, whose number is not given again while the piece holds the
 * inode. A file that was replaced has another one. Some file systems change what is behind a
 * number (an overlay, when a lower file is first written to; those of a network): so size, mtime
 * and ctime, to the nanosecond, must be what they were too. What differs in one of these is
 * another file, and the old piece is used by its old users only. All of it comes from the opened
 * descriptor, never from a name, and the host says it only of one that may be read: a piece is no
 * way round an open that was refused. Where a descriptor may map something older than the numbers
 * it has say (again an overlay), what it maps is not shared.
 *
 * Pieces without users hold at most IDLE_MAX files and a part of the window; the one that was left
 * first goes first. They go too when the window or the host has no room, when a piece of the same
 * file is found to be out of date, and before the counts at the end. A deleted file keeps its
 * space on disk for so long, at most until the sandbox ends.
 *
 * Places: pieces are kept in a tree by GPA whose "own" value is the free space below each piece,
 * so a place for a new piece is found in logarithmic time, from the top of the window downwards. A
 * last node, of size zero, stands at the end of the window.
 *
 * Lock: window_lock, for tree, lists and counts of users; not held while the host is called: a
 * piece is entered in the tree before the host maps it and in a list of known ones after; it
 * leaves the lists before the host unmaps it and the tree after.
 */
#include "window.h"
#include "kmalloc.h"
#include "../lib/assert.h"
#include "../lib/avl.h"
#include "../lib/list.h"
#include "../lib/string.h"

#define IDLE_MAX	64u	/* pieces without users */
#define IDLE_PART	32u	/* of the window that they may fill: one in so many bytes */
#define BUCKETS		64u

/**
 * struct piece - a range of the window
 * @users: file_maps. @known: others may use it, @id is what it maps; it is in a bucket, and in the
 * idle list iff it has no users
 */
struct piece {
	struct avl_node node;	/* key: gpa; own: free bytes below */
	u64 size, offset;
	u32 users;
	bool known;
	struct rs_file_id id;
	struct list same, idle;
};

static struct spinlock window_lock = SPINLOCK_INIT("window", LOCK_RANK_WINDOW);
static struct avl_tree pieces;
static struct avl_node window_end;
static u64 window_gpa, window_size;
static struct list buckets[BUCKETS];	/* known pieces, by inode */
static struct list idle;		/* the one left last comes last */
static u32 nidle;
static u64 idle_bytes;

void window_init(u64 gpa, u64 size)
{
	u32 i;

	pieces = (struct avl_tree){ 0 };
	window_gpa = gpa;
	window_size = size;
	window_end = (struct avl_node){ .key = gpa + size, .own = size };
	avl_insert(&pieces, &window_end);
	for (i = 0; i < BUCKETS; i++)
		list_init(&buckets[i]);
	list_init(&idle);
	nidle = 0;
	idle_bytes = 0;
}

static struct piece *piece_of(struct avl_node *n)
{
	return container_of(n, struct piece, node);
}

/* End of the piece before @n, or the start of the window. */
static u64 end_before(struct avl_node *n)
{
	struct avl_node *p = avl_prev(n);

	return p ? p->key + piece_of(p)->size : window_gpa;
}

/* Gives @p the highest free place. */
static bool place(struct piece *p)
{
	struct avl_node *n;
	bool found = false;

	spin_lock(&window_lock);
	n = avl_last_with(&pieces, ~0ull, p->size);
	if (n) {
		p->node.key = n->key - p->size;
		p->node.own = n->own - p->size;
		n->own = 0;
		avl_update(n);
		found = avl_insert(&pieces, &p->node);
	}
	spin_unlock(&window_lock);
	return found;
}

static void unplace(struct piece *p)
{
	struct avl_node *next;

	spin_lock(&window_lock);
	next = avl_next(&p->node);
	avl_remove(&pieces, &p->node);
	next->own = next->key - end_before(next);
	avl_update(next);
	spin_unlock(&window_lock);
}

/* --- pieces that are known -------------------------------------------------------------------- */

static struct list *bucket_of(const struct rs_file_id *id)
{
	return &buckets[(id->ino ^ id->ino >> 6) % BUCKETS];
}

/* The lock is held: @p gets its first user again. */
static void leave_idle(struct piece *p)
{
	list_del(&p->idle);
	nidle--;
	idle_bytes -= p->size;
}

/* The lock is held: nobody finds @p any more; it has no users, the caller unmaps it. */
static struct piece *forget(struct piece *p)
{
	leave_idle(p);
	list_del(&p->same);
	p->known = false;
	return p;
}

/* A piece that maps [offset, offset + size) of the file @id; the caller is a user of it. */
static struct piece *find(const struct rs_file_id *id, u64 offset, u64 size)
{
	struct piece *p, *found = NULL;

	spin_lock(&window_lock);
	list_for_each(p, bucket_of(id), same) {
		if (memcmp(&p->id, id, sizeof(*id)) || offset < p->offset ||
		    size > p->size || offset - p->offset > p->size - size)
			continue;
		found = p;
		if (!p->users++)
			leave_idle(p);
		break;
	}
	spin_unlock(&window_lock);
	return found;
}

static void unmap(struct piece *p)
{
	/*
	 * If the host cannot unmap it, the place stays in use: it must not show up under a new
	 * file.
	 */
	if (host_call2(RS_CALL_UNMAP_FILE, p->node.key, p->size))
		return;
	unplace(p);
	kfree(p);
}

/* The piece that was left first, if there is one and more are kept than @max and @bytes say. */
static struct piece *take_oldest(u32 max, u64 bytes)
{
	struct piece *p = NULL;

	spin_lock(&window_lock);
	if (nidle > max || idle_bytes > bytes)
		p = forget(list_first(&idle, struct piece, idle));
	spin_unlock(&window_lock);
	return p;
}

static bool drop_idle(u32 max, u64 bytes)
{
	struct piece *p;
	bool any = false;

	while ((p = take_oldest(max, bytes))) {
		unmap(p);
		any = true;
	}
	return any;
}

void file_map_drop_spare(void)
{
	drop_idle(0, 0);
}

/* A piece without users of what was the file @id before it changed. */
static struct piece *take_stale(const struct rs_file_id *id)
{
	struct piece *p, *found = NULL;

	spin_lock(&window_lock);
	list_for_each(p, bucket_of(id), same) {
		if (p->users || p->id.dev != id->dev || p->id.ino != id->ino ||
		    !memcmp(&p->id, id, sizeof(*id)))
			continue;
		found = forget(p);
		break;
	}
	spin_unlock(&window_lock);
	return found;
}

/* @p, which has one user, is found from now on. */
static void make_known(struct piece *p, const struct rs_file_id *id)
{
	spin_lock(&window_lock);
	p->known = true;
	p->id = *id;
	list_add(bucket_of(id), &p->same);
	spin_unlock(&window_lock);
}

static void piece_put(struct piece *p)
{
	bool keep;

	spin_lock(&window_lock);
	keep = --p->users || p->known;
	if (!p->users && p->known) {
		list_add_tail(&idle, &p->idle);
		nidle++;
		idle_bytes += p->size;
	}
	spin_unlock(&window_lock);
	if (!keep)
		unmap(p);
	else
		drop_idle(IDLE_MAX, window_size / IDLE_PART);
}

/* --- new pieces ------------------------------------------------------------------------------- */

/* A piece with a place in the window, one user, and nothing there yet; NULL. */
static struct piece *piece_new(u64 offset, u64 size)
{
	struct piece *p = kmalloc(sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct piece){ .users = 1, .offset = offset, .size = size };
	list_init(&p->same);
	list_init(&p->idle);
	while (!place(p)) {
		struct piece *old = take_oldest(0, 0);

		if (!old) {
			kfree(p);
			return NULL;
		}
		unmap(old);
	}
	return p;
}

/* [offset, offset + size) of @fd, mapped by the host. */
static struct piece *piece_map(int fd, u64 offset, u64 size, u32 flags)
{
	struct piece *p = piece_new(offset, size);
	long err;

	if (!p)
		return ERR_PTR(-ENOMEM);
	do {
		rs_stats()->file_maps++;
		err = host_call5(RS_CALL_MAP_FILE, fd, offset, size, p->node.key, flags);
		/* The host has a limit on mappings, which those without users count for. */
	} while (err == -ENOMEM && drop_idle(0, 0));
	if (!err)
		return p;
	unplace(p);
	kfree(p);
	return ERR_PTR(err);
}

/* --- what others see -------------------------------------------------------------------------- */

static struct file_map *file_map_new(u64 offset, u64 size, u32 flags, struct refstr *name)
{
	struct file_map *m = kmalloc(sizeof(*m));

	if (m)
		*m = (struct file_map){ .refs = 1, .flags = flags, .size = size, .offset = offset,
					.name = refstr_get(name) };
	return m;
}

static struct file_map *file_map_in(struct file_map *m, struct piece *p)
{
	if (IS_ERR(p)) {
		refstr_put(m->name);
		kfree(m);
		return ERR_PTR(PTR_ERR(p));
	}
	m->piece = p;
	m->gpa = p->node.key + (m->offset - p->offset);
	return m;
}

static bool range_ok(u64 offset, u64 size)
{
	return size && !((offset | size) & ~PAGE_MASK) && offset + size > offset;
}

struct file_map *file_map_known(int fd, const struct rs_file_id *id, bool sure, u64 offset,
				u64 size, struct refstr *name)
{
	struct file_map *m;
	struct piece *p;

	if (!range_ok(offset, size))
		return ERR_PTR(-EINVAL);
	m = file_map_new(offset, size, 0, name);
	if (!m)
		return ERR_PTR(-ENOMEM);
	p = find(id, offset, size);
	if (p)
		return file_map_in(m, p);
	while ((p = take_stale(id)))
		unmap(p);
	p = piece_map(fd, offset, size, 0);
	if (!IS_ERR(p) && sure)
		make_known(p, id);
	return file_map_in(m, p);
}

struct file_map *file_map_create(int fd, u64 offset, u64 size, u32 flags, struct refstr *name)
{
	struct file_map *m;

	if (!range_ok(offset, size))
		return ERR_PTR(-EINVAL);
	if (!flags) {
		struct rs_file_id *at = host_bounce(), id;
		long ret = host_call2(RS_CALL_FILE_ID, fd, gpa_of(at));

		id = *at;
		if (ret >= 0)
			return file_map_known(fd, &id, !ret, offset, size, name);
		/* No regular file, or none that may be mapped so: the host says what is wrong. */
	}
	m = file_map_new(offset, size, flags, name);
	return m ? file_map_in(m, piece_map(fd, offset, size, flags)) : ERR_PTR(-ENOMEM);
}

struct file_map *file_map_extend(const struct file_map *from, u64 off, u64 size)
{
	struct file_map *m;
	struct piece *p;
	long err;

	if (off >= from->size || !range_ok(from->offset + off, size))
		return ERR_PTR(-EINVAL);
	m = file_map_new(from->offset + off, size, from->flags, from->name);
	if (!m)
		return ERR_PTR(-ENOMEM);
	p = piece_new(m->offset, size);
	if (!p)
		return file_map_in(m, ERR_PTR(-ENOMEM));
	rs_stats()->file_maps++;
	err = host_call3(RS_CALL_MAP_MORE, from->gpa + off, size, p->node.key);
	if (err) {
		unplace(p);
		kfree(p);
		return file_map_in(m, ERR_PTR(err));
	}
	m->dev = from->dev;
	m->ino = from->ino;
	return file_map_in(m, p);
}

void file_map_put(struct file_map *m)
{
	if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return;
	piece_put(m->piece);
	refstr_put(m->name);
	kfree(m);
}
