// SPDX-License-Identifier: MIT
/*
 * rcu_test.c - grace periods: step by step, and with threads of this program as CPUs
 *
 * Step by step: one thread plays all CPUs and says which of them may be reading; so what is freed
 * when is no matter of chance. Then the torture: each thread is a CPU, which reads without the
 * lock, and now and then takes it to replace what the others are reading. What is freed is poisoned
 * first; a reader that finds it too early ends the test, in its own check, by ASan, or, since the
 * poison is no address, by a signal. Built under ASan and UBSan, and under ThreadSanitizer without
 * the VMAs, whose readers look at plain fields and throw away what a sequence count calls torn.
 */
#define _GNU_SOURCE
#include <linux/mman.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core.h"
#include "../../userland/guest/lib/rculist.h"
#ifndef __SANITIZE_THREAD__
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/mm_internal.h"
#endif
#include "../../userland/guest/sync/rcu.h"

#define CPUS	4u
#define ROUNDS	100000u		/* of each CPU */
#define HANG_S	120		/* no part gets no further for so long, on any machine */

/* --- step by step ----------------------------------------------------------------------------- */

struct item {
	struct rcu_head rcu;
	u32 number;
};

static bool reads[CPUS];
static u32 kicks[CPUS], waits, freed, order_bad;

static bool step_reading(u32 cpu)
{
	CHECK(cpu < CPUS && cpu != this_cpu()->id);
	return reads[cpu];
}

static void step_kick(u32 cpu)
{
	kicks[cpu]++;
}

/* Each turn one of those that were kicked comes in. */
static void step_wait(u32 *turns)
{
	u32 i;

	++*turns;
	waits++;
	for (i = 0; i < CPUS; i++)
		if (kicks[i] && reads[i]) {
			reads[i] = false;
			return;
		}
	CHECK(false, "waits for a CPU that nobody has kicked");
}

static const struct rcu_cpus step_cpus = { step_reading, step_kick, step_wait };

static struct item items[2 * RCU_MANY + 3 * RCU_BATCH];
static u32 nitems;

static void free_item(struct rcu_head *h)
{
	struct item *it = container_of(h, struct item, rcu);

	order_bad += it->number != freed;
	freed++;
}

static void queue_items(u32 n)
{
	while (n--) {
		CHECK(nitems < ARRAY_SIZE(items));
		items[nitems].number = nitems;
		rcu_call(&items[nitems].rcu, free_item);
		nitems++;
	}
}

/* @cpu comes into the kernel, and goes on in ring 3. */
static void pass(u32 cpu)
{
	reads[cpu] = false;
	core_cpu(cpu);
	rcu_passed(cpu);
	core_cpu(0);
	reads[cpu] = true;
}

static void restart(void)
{
	CHECK(freed == nitems && !rcu_queued() && !order_bad);
	nitems = freed = waits = 0;
	memset(kicks, 0, sizeof(kicks));
	memset(reads, 0, sizeof(reads));
}

static struct item late;

static void free_and_queue(struct rcu_head *h)
{
	late.number = nitems++;
	free_item(h);
	rcu_call(&late.rcu, free_item);
}

static void test_steps(void)
{
	u32 i;

	queue_items(3);
	CHECK(freed == 3 && !rcu_queued());
	restart();
	PASS("one CPU: freed at once");

	rs_ncpus = CPUS;
	rcu_setup(&step_cpus);
	queue_items(RCU_BATCH);
	CHECK(freed == RCU_BATCH && !rcu_waiting);
	restart();
	PASS("nobody reads: a batch is freed as soon as it is one");

	reads[1] = reads[3] = true;
	queue_items(RCU_BATCH);
	CHECK(!freed && rcu_waiting == 0xa);
	pass(2);
	pass(1);
	pass(1);
	CHECK(!freed && rcu_waiting == 8);
	/* Too late for this grace period: CPU 1 may have found it. */
	queue_items(RCU_BATCH);
	pass(3);
	CHECK(freed == RCU_BATCH);
	pass(3);
	pass(2);
	CHECK(freed == RCU_BATCH);
	pass(1);
	CHECK(freed == 2 * RCU_BATCH && !rcu_queued());
	restart();
	PASS("freed when each CPU that was reading has come in, and not before; what came later, later");

	reads[2] = true;
	queue_items(RCU_BATCH - 1);
	CHECK(!rcu_waiting && rcu_queued() == RCU_BATCH - 1);
	rcu_idle();
	CHECK(rcu_waiting == 4 && !freed);
	pass(2);
	CHECK(freed == RCU_BATCH - 1);
	restart();
	PASS("a small batch goes when a CPU has nothing else to do");

	reads[1] = reads[2] = true;
	queue_items(RCU_MANY - 1);
	CHECK(!kicks[1] && !kicks[2]);
	pass(2);
	queue_items(RCU_BATCH);
	CHECK(kicks[1] == 1 && !kicks[0] && !kicks[2] && !kicks[3] && !freed);
	pass(1);
	CHECK(freed == RCU_BATCH);
	pass(1);
	pass(2);
	CHECK(freed == nitems);
	restart();
	PASS("when many wait, the CPUs that are waited for are kicked, once");

	reads[1] = reads[2] = true;
	queue_items(RCU_BATCH + 5);
	CHECK(rcu_drain() && freed == nitems && waits == 2 && kicks[1] == 1 && kicks[2] == 1);
	CHECK(!rcu_drain() && !rcu_waiting);
	/* A CPU that was waited for comes in after all. */
	pass(1);
	restart();
	PASS("drain: all of it is freed, those that read are kicked and waited for");

	reads[3] = true;
	rcu_synchronize();
	CHECK(!reads[3] && waits == 1);
	restart();
	PASS("synchronize: waits for those that read");

	reads[1] = true;
	for (i = 0; i < RCU_BATCH - 1; i++)
		queue_items(1);
	items[nitems].number = nitems;
	rcu_call(&items[nitems].rcu, free_and_queue);
	nitems++;
	pass(1);
	CHECK(freed == RCU_BATCH && rcu_queued() == 1);
	rcu_idle();
	CHECK(freed == RCU_BATCH);
	pass(1);
	CHECK(freed == RCU_BATCH + 1);
	restart();
	PASS("what a free queues waits for a grace period of its own");

	/* What another CPU has queued before it sleeps does not stay behind. */
	reads[1] = true;
	core_cpu(2);
	queue_items(4);
	core_cpu(0);
	rcu_idle();
	CHECK(!freed);
	pass(1);
	CHECK(freed == 4);
	restart();
	PASS("queues of CPUs that sleep are emptied by the others");
}

/* --- lists, by themselves --------------------------------------------------------------------- */

struct entry {
	struct list list;
	struct hnode node;
	u32 v;
};

static void test_lists(void)
{
	struct list head = LIST_INIT(head);
	struct hlist hash = { NULL };
	struct entry e[4], last = { .v = 9 }, *p;
	u32 got = 0;

	for (u32 i = 0; i < 4; i++)
		e[i] = (struct entry){ .v = i + 1 };
	rcu_list_add_tail(&head, &e[1].list);
	rcu_list_add_tail(&head, &e[2].list);
	rcu_list_add(&head, &e[0].list);
	rcu_list_for_each(p, &head, list)
		got = got * 10 + p->v;
	CHECK(got == 123);
	/* A reader stands on each that goes, and finds the rest. */
	rcu_list_del(&e[1].list);
	CHECK(rcu_dereference(e[1].list.next) == &e[2].list && e[2].list.prev == &e[0].list);
	rcu_list_replace(&e[2].list, &e[3].list);
	CHECK(rcu_dereference(e[2].list.next) == &head && head.prev == &e[3].list);
	got = 0;
	rcu_list_for_each(p, &head, list)
		got = got * 10 + p->v;
	CHECK(got == 14);

	got = 0;
	for (u32 i = 0; i < 4; i++)
		rcu_hlist_add(&hash, &e[i].node);
	rcu_hlist_replace(&e[0].node, &last.node);
	rcu_hlist_for_each(p, &hash, node)
		got = got * 10 + p->v;
	CHECK(got == 4329);
	got = 0;
	rcu_hlist_del(&e[2].node);
	rcu_hlist_del(&e[2].node);
	CHECK(rcu_dereference(e[2].node.next) == &e[1].node);
	rcu_hlist_del(&e[3].node);
	rcu_hlist_del(&last.node);
	rcu_hlist_for_each(p, &hash, node)
		got = got * 10 + p->v;
	CHECK(got == 2);
	PASS("lists: what is taken out keeps its way on");
}

/* --- CPUs as threads -------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool outside[CPUS], wanted[CPUS];	/* atomic */
static u32 ready;				/* atomic */
static u64 seen[CPUS], changed, given_back;	/* the last two: the lock's */
static __thread u64 dice;

static u64 roll(u64 n)
{
	dice = dice * 6364136223846793005ull + 1442695040888963407ull;
	return (dice >> 33) % n;
}

static bool cpu_reading(u32 cpu)
{
	return __atomic_load_n(&outside[cpu], __ATOMIC_SEQ_CST);
}

static void cpu_kick(u32 cpu)
{
	__atomic_store_n(&wanted[cpu], true, __ATOMIC_SEQ_CST);
}

static void cpu_wait(u32 *turns)
{
	++*turns;
	sched_yield();
}

static const struct rcu_cpus thread_cpus = { cpu_reading, cpu_kick, cpu_wait };

static void enter(void)
{
	u32 me = this_cpu()->id;

	__atomic_store_n(&outside[me], false, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&lock);
	__atomic_store_n(&wanted[me], false, __ATOMIC_SEQ_CST);
	rcu_passed(me);
}

static void leave(void)
{
	__atomic_store_n(&outside[this_cpu()->id], true, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&lock);
}

static void (*read_once)(void), (*change_once)(void);

/* A CPU that Linux takes away in the middle of reading. */
static void take_away(void)
{
	if (this_cpu() && __atomic_load_n(&outside[this_cpu()->id], __ATOMIC_RELAXED) && !roll(32))
		sched_yield();
}

/* As a program: mostly reads, sometimes comes in, because it must or because it wants to. */
static void *cpu_main(void *arg)
{
	u32 me = (u32)(u64)arg, i;

	core_cpu(me);
	this_cpu()->hosted_if = false;
	dice = me + 1;
	enter();
	leave();
	/* One must not be through before the next has begun. */
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < CPUS)
		sched_yield();
	for (i = 0; i < ROUNDS; i++) {
		if (i % 1024 == 0)
			alarm(HANG_S);
		read_once();
		if (__atomic_load_n(&wanted[me], __ATOMIC_SEQ_CST) || !roll(8)) {
			enter();
			change_once();
			if (!roll(200))
				rcu_idle();
			if (!roll(500))
				rcu_drain();
			leave();
		}
	}
	enter();
	pthread_mutex_unlock(&lock);	/* asleep, for good */
	return NULL;
}

static void torture(void (*r)(void), void (*c)(void))
{
	pthread_t t[CPUS];

	alarm(HANG_S);
	read_once = r;
	change_once = c;
	rcu_reader_hook = take_away;
	ready = 0;
	changed = given_back = 0;
	memset(seen, 0, sizeof(seen));
	rs_ncpus = CPUS;
	rcu_setup(&thread_cpus);
	for (u64 i = 0; i < CPUS; i++)
		CHECK(!pthread_create(&t[i], NULL, cpu_main, (void *)i));
	for (u64 i = 0; i < CPUS; i++) {
		CHECK(!pthread_join(t[i], NULL));
		CHECK(seen[i]);
	}
	core_cpu(0);
	rcu_drain();
	CHECK(!rcu_queued() && !rcu_waiting);
	rcu_reader_hook = NULL;
	alarm(0);
}

/* --- a hash table, all of it replaced all the time -------------------------------------------- */

#define KEYS	32u
#define BUCKETS	4u
#define ALIVE	0x600dull
#define DEAD	0x5a5a5a5a5a5a5a5aull

struct object {
	u64 state, key, value;
	struct hnode node;
	struct rcu_head rcu;
};

static struct hlist table[BUCKETS];
static struct object *current_of[KEYS];

static void object_free(struct rcu_head *h)
{
	struct object *o = container_of(h, struct object, rcu);

	CHECK(o->state == ALIVE);
	memset(o, 0x5a, sizeof(*o));
	free(o);
	given_back++;
}

static struct object *object_new(u64 key)
{
	struct object *o = malloc(sizeof(*o));

	CHECK(o);
	*o = (struct object){ .state = ALIVE, .key = key, .value = key * 3 };
	return o;
}

/* In its place: each key is found at any time. */
static void table_replace(void)
{
	u64 key = roll(KEYS);
	struct object *old = current_of[key], *o = object_new(key);

	rcu_hlist_replace(&old->node, &o->node);
	current_of[key] = o;
	rcu_call(&old->rcu, object_free);
	changed++;
}

static void table_read(void)
{
	u64 key = roll(KEYS), found = 0;
	struct object *o;

	rcu_hlist_for_each(o, &table[key % BUCKETS], node) {
		CHECK(o->state == ALIVE && o->value == o->key * 3, "state %lx", o->state);
		found += o->key == key;
	}
	CHECK(found, "key %lu has gone", key);
	seen[this_cpu()->id]++;
}

static void test_table(void)
{
	for (u32 i = 0; i < KEYS; i++) {
		current_of[i] = object_new(i);
		rcu_hlist_add(&table[i % BUCKETS], &current_of[i]->node);
	}
	torture(table_read, table_replace);
	CHECK(changed && given_back == changed);
	for (u32 i = 0; i < KEYS; i++)
		free(current_of[i]);
	PASS("torture: %lu entries replaced under %u readers, none seen after it was freed", changed,
	     CPUS);
}

/* --- VMAs that are mapped, protected and taken away while others look them up ----------------- */

#ifndef __SANITIZE_THREAD__
#define BASE	0x7f0000000000ul
#define GROUPS	8u
#define GROUP	16u		/* pages */

static struct mm *mm;

/* What a group's pages ever have: so a reader can tell whether an answer is about its address. */
static u32 group_prot(u32 group)
{
	return group % 2 ? PROT_READ | PROT_WRITE : roll(2) ? PROT_READ : PROT_READ | PROT_EXEC;
}

static void mm_change(void)
{
	u32 group = roll(GROUPS), first = roll(GROUP), n = 1 + roll(GROUP - first);
	u64 addr = BASE + (u64)(group * GROUP + first) * PAGE_SIZE, len = n * PAGE_SIZE;
	struct mmap_req r = { .addr = addr, .len = len, .prot = group_prot(group), .host_fd = -1,
			      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED };

	switch (roll(4)) {
	case 0:
		CHECK(!mm_munmap(mm, addr, len));
		break;
	case 1:
		mm_mprotect(mm, addr, len, group_prot(group));
		break;
	default:
		CHECK(mm_mmap(mm, &r) == (long)addr);
	}
	/* For the next reader: any of them, and mostly none. */
	if (!roll(4))
		mm_find(mm, BASE + roll(GROUPS * GROUP) * PAGE_SIZE);
	changed++;
}

static void mm_read(void)
{
	u32 page = roll(GROUPS * GROUP), group = page / GROUP, flags;
	u64 addr = BASE + page * PAGE_SIZE, start, end;
	u32 seq = mm_read_begin(mm);
	const struct vma *v = rcu_dereference(mm->cache);

	if (!v || addr < READ_ONCE(v->start) || addr >= READ_ONCE(v->end))
		v = mm_find_reader(mm, addr);
	if (!v)
		return;
	take_away();
	flags = READ_ONCE(v->flags);
	start = READ_ONCE(v->start);
	end = READ_ONCE(v->end);
	if (!mm_read_valid(mm, seq))
		return;
	CHECK(addr >= start && addr < end, "%lx-%lx for %lx", start, end, addr);
	CHECK(start >= BASE + group * GROUP * PAGE_SIZE &&
	      end <= BASE + (group + 1) * GROUP * PAGE_SIZE);
	CHECK(!!(flags & VM_WRITE) == group % 2 && flags & VM_READ, "flags %x", flags);
	seen[this_cpu()->id]++;
}

static void test_mm(void)
{
	u64 objects;

	core_init(PAGE_SIZE);
	page_alloc_init(ARENA_SIZE, PAGE_SIZE, true);	/* poisons what kfree() gets */
	objects = kmalloc_in_use();
	mm = mm_create();
	CHECK(mm);
	torture(mm_read, mm_change);
	mm_check(mm);
	mm_put(mm);
	CHECK(kmalloc_in_use() == objects, "%lu objects", kmalloc_in_use() - objects);
	PASS("torture: %lu changes of mappings under %u readers, every valid answer right", changed,
	     CPUS);
}

/* --- memory that waits is memory -------------------------------------------------------------- */

static bool reclaim(void)
{
	return !kmalloc_locked() && rcu_drain();
}

/* A CPU computes in ring 3 for ever; memory is short: what waits for it comes back. */
static void test_reclaim(void)
{
	struct block {
		struct rcu_head rcu;
		char fill[4096 - sizeof(struct rcu_head)];
	} *b;
	void **all = NULL, **p;
	u32 n = 0;

	core_init(PAGE_SIZE);
	page_alloc_init(ARENA_SIZE, PAGE_SIZE, false);
	rcu_setup(&step_cpus);
	memset(reads, 0, sizeof(reads));
	reads[1] = true;
	page_reclaim = reclaim;
	b = kmalloc(sizeof(*b));
	CHECK(b);
	while ((p = kmalloc(4096))) {
		*p = all;
		all = p;
	}
	rcu_call(&b->rcu, (void (*)(struct rcu_head *))kfree);
	CHECK(rcu_queued() == 1 && reads[1]);
	CHECK(kmalloc(4096) == b && !rcu_queued() && !reads[1]);
	CHECK(!kmalloc(4096));
	/* For a small object, too, whose page is asked for with the heap's lock held. */
	reads[1] = true;
	rcu_call(&b->rcu, (void (*)(struct rcu_head *))kfree);
	p = kmalloc(2032);
	CHECK(p && !rcu_queued());
	kfree(p);
	for (; all; all = p, n++) {
		p = *all;
		kfree(all);
	}
	page_reclaim = NULL;
	PASS("memory is short: what waits is given back first (%u pages in use)", n);
}
#endif

static void on_alarm(int sig)
{
	static const char text[] = "not ok - nothing moves any more\n";

	(void)sig;
	(void)!write(1, text, sizeof(text) - 1);
	_exit(1);
}

/* "torture": that part alone, to see by hand that it finds a grace period that is none */
int main(int argc, char **argv)
{
	bool steps = argc < 2 || strcmp(argv[1], "torture");

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, on_alarm);
	for (u32 i = 0; i < RS_NR_CPUS; i++)
		rs_cpus[i].id = i;
	core_cpu(0);
	if (steps) {
		test_steps();
		test_lists();
	}
	test_table();
#ifndef __SANITIZE_THREAD__
	test_mm();
	if (steps)
		test_reclaim();
#endif
	DONE();
}
