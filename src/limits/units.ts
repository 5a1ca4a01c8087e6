/**
 * Bytes. In this folder stands every bound, interval and timeout of the program, its unit in the name and its reason beside it.
 * What an operator may change is a setting instead (`config/schema.ts`).
 */

export const KIB = 1024;
export const MIB = 1024 * KIB;
