// SPDX-License-Identifier: MIT
/*
 * find DIRECTORY [PATTERN] - the paths below DIRECTORY whose last part matches PATTERN, in the order of names
 *
 * Directories are entered, symbolic links are not followed: so it ends. Each directory is read to its end and closed
 * before the ones in it are entered, so the depth is limited by memory and not by descriptors.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int bad;

static void complain(const char *path)
{
	fprintf(stderr, "find: %s: %s\n", path, strerror(errno));
	bad = 1;
}

static int is_entry(const struct dirent *d)
{
	return strcmp(d->d_name, ".") && strcmp(d->d_name, "..");
}

static void walk(const char *path, const char *pattern)
{
	const char *slash = strrchr(path, '/');
	struct dirent **names;
	struct stat st;
	int n;

	if (lstat(path, &st)) {
		complain(path);
		return;
	}
	if (!fnmatch(pattern, slash && slash[1] ? slash + 1 : path, 0))
		puts(path);
	if (!S_ISDIR(st.st_mode))
		return;
	n = scandir(path, &names, is_entry, alphasort);
	if (n < 0) {
		complain(path);
		return;
	}
	for (int i = 0; i < n; i++) {
		size_t have = strlen(path);
		char *below;

		if (asprintf(&below, "%s%s%s", path, have && path[have - 1] == '/' ? "" : "/",
			     names[i]->d_name) < 0) {
			perror("find");
			exit(1);
		}
		walk(below, pattern);
		free(below);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: find DIRECTORY [PATTERN]\n");
		return 2;
	}
	walk(argv[1], argc == 3 ? argv[2] : "*");
	return fflush(stdout) || bad;
}
