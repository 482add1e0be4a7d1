// SPDX-License-Identifier: GPL-2.0
// Since 6.13; before, hrtimer_init and the function by assignment.
// absent: implicit declaration of function .hrtimer_setup
#include <linux/hrtimer.h>

void probe(struct hrtimer *timer,
	   enum hrtimer_restart (*function)(struct hrtimer *timer));
void probe(struct hrtimer *timer,
	   enum hrtimer_restart (*function)(struct hrtimer *timer))
{
	hrtimer_setup(timer, function, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
}
