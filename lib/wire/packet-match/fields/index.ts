// SPDX-License-Identifier: MIT
// Every field of a match. A new one is one file and one line here.

import './family.js'
import './length.js'
import './protocol.js'
import './addresses.js'
import './ports.js'
import './icmp.js'
import './tcp-flags.js'
import './dscp.js'
import './mark.js'
import './vlan.js'
import './macs.js'
import './ether-type.js'
import './bytes.js'
