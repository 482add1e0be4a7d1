// SPDX-License-Identifier: MIT
// Where users add the types of their matches and targets, by declaration merging:
//
//     declare module 'nfkit/extension' { interface UserMatches { l2tp: L2tpMatch } }

/** The typed values of users' matches, by name. */
export interface UserMatches {}
/** The typed values of users' targets, by name. */
export interface UserTargets {}

declare module '../wire/xtables/extension.js' {
  interface Matches extends UserMatches {}
  interface Targets extends UserTargets {}
}
