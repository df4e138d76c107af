/* SPDX-License-Identifier: MIT */
/*
 * window.h - files of the host in guest physical memory
 *
 * The file window is a range of guest physical addresses in which the host process maps files on
 * request. Pages there have no struct page: what keeps a piece alive is its struct file_map.
 */
#ifndef RS_MM_WINDOW_H
#define RS_MM_WINDOW_H

#include "../host/host.h"
#include "../lib/refstr.h"

struct piece;

/**
 * struct file_map - a range of a host file, mapped in the file window
 *
 * Holds its part of the window until the last reference is dropped; independent of the descriptor
 * it was made from. Others may have the same part. Pages beyond the end of the file are there but
 * fault (vector RS_VECTOR_NESTED_FAULT).
 */
struct file_map {
	u32 refs;
	u32 flags;		/* RS_MAP_* it was made with */
	u64 gpa;		/* page aligned, in the window */
	u64 size;		/* bytes, multiple of the page size */
	u64 offset;		/* in the file */
	struct refstr *name;	/* for reports; may be NULL */
	struct piece *piece;	/* it lies in */
	u64 dev, ino;		/* which file; 0 unless the mapping is shared */
};

/** window_init() - takes the window's position from the boot page; boot only */
void window_init(u64 gpa, u64 size);

/**
 * file_map_create() - maps @size bytes (multiple of the page size, not 0) of host descriptor @fd
 * from @offset (page aligned). One or two requests to the host. @name gains a reference. ERR_PTR:
 * ENOMEM (window or memory full), what mmap on the host answers.
 */
struct file_map *file_map_create(int fd, u64 offset, u64 size, u32 flags, struct refstr *name);
/**
 * file_map_known() - the same, private, of a regular file that is open for reading and of which the
 * host has just said @id: no request to the host if it is there already. @sure: others who have the
 * same @id may have what is mapped through @fd
 */
struct file_map *file_map_known(int fd, const struct rs_file_id *id, bool sure, u64 offset,
				u64 size, struct refstr *name);
/**
 * file_map_extend() - a piece of its own for @size bytes of @from's file, from @off bytes into
 * @from: more of the file than @from maps, without a descriptor. ERR_PTR as above; EINVAL when the
 * host cannot: for private mappings of what is no regular file, or of a memfd that can be sealed.
 */
struct file_map *file_map_extend(const struct file_map *from, u64 off, u64 size);
static inline struct file_map *file_map_get(struct file_map *m)
{
	__atomic_add_fetch(&m->refs, 1, __ATOMIC_RELAXED);
	return m;
}
/**
 * file_map_put() - the last one lets go of its part of the window; the host may be asked to unmap it
 */
void file_map_put(struct file_map *m);
/** file_map_drop_spare() - unmaps what is kept for the next time */
void file_map_drop_spare(void);

#endif
