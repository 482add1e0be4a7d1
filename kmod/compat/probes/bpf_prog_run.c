// SPDX-License-Identifier: GPL-2.0
// A function since 5.15; before, a macro in capitals.
// absent: implicit declaration of function .bpf_prog_run
#include <linux/filter.h>

u32 probe(const struct bpf_prog *program, const void *context);
u32 probe(const struct bpf_prog *program, const void *context)
{
	return bpf_prog_run(program, context);
}
