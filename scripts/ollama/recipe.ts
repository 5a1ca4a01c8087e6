/**
 * Which Ollama the tests run against, and what its build needs.
 *
 * Version 0.24.0 is the newest with its CPU runner inside the one binary: from 0.30 on the runner is a program of its own,
 * built with CMake. The source comes through Go's module proxy, pinned by its hash. A module leaves out every folder that is
 * called `vendor`, and with it three header files that the C++ part includes: two come from Debian packages, and in place of
 * the third, an audio decoder, stands one that decodes nothing.
 */

import { homedir } from 'node:os';
import path from 'node:path';

export const OLLAMA_MODULE = 'github.com/ollama/ollama';
export const OLLAMA_VERSION = '0.24.0';
/** Of the module's files, as Go's checksum database has it. */
export const OLLAMA_HASH = 'h1:CBZ0ffE+cxMWRWau5yD5vXHkiZHAeuxLk+3j55u0XxQ=';
/** The oldest Go that compiles it, as `go 1.26.0` in its go.mod demands. */
export const OLDEST_GO = '1.26';

/** Debian packages, each with a header that must come out of it, as a path below `usr/include`. */
export const HEADER_PACKAGES: readonly { readonly name: string; readonly header: string }[] = [
  { name: 'nlohmann-json3-dev', header: 'nlohmann/json.hpp' },
  { name: 'libstb-dev', header: 'stb/stb_image.h' },
];

/** What `miniaudio/miniaudio.h` must declare for the build; models that hear get "not implemented". */
export const MINIAUDIO_STAND_IN = `#pragma once
#include <cstddef>
#include <cstdint>
typedef uint64_t ma_uint64;
typedef int ma_result;
enum { MA_SUCCESS = 0, MA_NOT_IMPLEMENTED = -29 };
enum ma_format { ma_format_f32 = 5 };
struct ma_decoder_config { int unused; };
struct ma_decoder { int unused; };
static inline ma_decoder_config ma_decoder_config_init(ma_format, uint32_t, uint32_t) { return {0}; }
static inline ma_result ma_decoder_init_memory(const void *, size_t, const ma_decoder_config *, ma_decoder *) {
  return MA_NOT_IMPLEMENTED;
}
static inline ma_result ma_decoder_get_length_in_pcm_frames(ma_decoder *, ma_uint64 *) { return MA_NOT_IMPLEMENTED; }
static inline ma_result ma_decoder_read_pcm_frames(ma_decoder *, void *, ma_uint64, ma_uint64 *) {
  return MA_NOT_IMPLEMENTED;
}
static inline ma_result ma_decoder_uninit(ma_decoder *) { return MA_SUCCESS; }
`;

/** Arguments of `go` that build the program. */
export function installArguments(parallel: number): string[] {
  const version = `-X=${OLLAMA_MODULE}/version.Version=${OLLAMA_VERSION}`;
  const target = `${OLLAMA_MODULE}@v${OLLAMA_VERSION}`;
  return ['install', '-v', '-p', String(parallel), '-trimpath', '-ldflags', `-s -w ${version}`, target];
}

/**
 * Where the program is kept, so that a fresh clone finds it.
 * @param env the process's environment: `XDG_CACHE_HOME`, else `~/.cache`
 */
export function ollamaProgram(env: Readonly<Record<string, string | undefined>>): string {
  return path.join(userCache(env), 'gogrid', `ollama-${OLLAMA_VERSION}`, 'ollama');
}

/** The user's folder for what can be made again. */
export function userCache({ XDG_CACHE_HOME: cache }: Readonly<Record<string, string | undefined>>): string {
  // The specification has relative paths ignored.
  return cache !== undefined && path.isAbsolute(cache) ? cache : path.join(homedir(), '.cache');
}
