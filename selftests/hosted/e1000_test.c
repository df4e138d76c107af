// SPDX-License-Identifier: MIT
/*
 * e1000_test.c - the 82540EM's model, case by case
 */
#include "model.h"
#define EXPECT(cond)	CHECK(cond)
#include "tests/e1000_cases.h"

static u8 memory[WORLD_MEM] __attribute__((aligned(4096)));

static void cases(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(e1000_cases); i++) {
		struct world w;

		world_init(&w, memory);
		e1000_cases[i].run(&w);
		world_end(&w);
		PASS("%s", e1000_cases[i].name);
	}
}

int main(void)
{
	cases();
	DONE();
}
