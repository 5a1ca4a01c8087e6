/** Put in by scripts/build.ts from package.json; absent when the source runs directly under tsx or vitest. */
declare const GOGRID_VERSION: string | undefined;

/** The version of this program, as in package.json; `0.0.0-source` when it runs unbuilt. */
export const version = typeof GOGRID_VERSION === 'string' ? GOGRID_VERSION : '0.0.0-source';
