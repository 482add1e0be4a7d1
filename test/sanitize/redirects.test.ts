// SPDX-License-Identifier: MIT
// Memory is wanting while hooks redirect packets: for each allocation of the module once, on each path. What no sink takes is accepted or dropped as
// the hook says, and counted; what one takes is gone.

import { sweepRedirects } from '../support/fault-points.js'
import { HOOK_POINTS, type HookPoint } from '../../lib/wire/module/hook-points.js'

sweepRedirects(Object.keys(HOOK_POINTS) as HookPoint[])
