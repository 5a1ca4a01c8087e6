import { afterEach, expect, it } from 'vitest';
import { diagnosis as diagnosisSchema } from '../contract/doctor.ts';
import { type SmallApi, smallApi, testKey } from '../testing/small-api.ts';
import { type SmallWorldOptions, smallWorld, testMachine } from '../testing/small-world.ts';
import { runCli } from './cli.ts';

let running: SmallApi | undefined;
afterEach(async () => {
  await running?.api.stop(0);
  running = undefined;
});

async function doctor(args: readonly string[] = [], world: SmallWorldOptions = {}) {
  const small = smallWorld(['doctor', ...args], world);
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr() };
}

it('prints what the node says, with a fix for all that is not right', async () => {
  running = await smallApi(
    {},
    {
      doctor: async () => ({
        running: true,
        healthy: false,
        findings: [
          { check: 'engine', level: 'ok', message: 'ollama answers', fix: 'nothing to do' },
          { check: 'model', level: 'error', message: 'none \u001b[2J', fix: 'gogrid models pull x' },
          { check: 'clock', level: 'warn', message: 'is late', fix: 'NTP' },
        ],
      }),
    },
  );
  const node = { api: running.url, key: testKey };
  const { code, out } = await doctor([], { node, program: 'npx gogrid' });
  expect(code).toBe(1);
  expect(out).toBe(
    [
      'ok     engine    ollama answers',
      'error  model     none �[2J',
      '                 → npx gogrid models pull x',
      'warn   clock     is late',
      '                 → NTP',
      '',
      '1 thing is wrong, 1 could be better.',
      '',
    ].join('\n'),
  );
  const json = await doctor(['--json'], { node });
  expect(json.code).toBe(1);
  expect(diagnosisSchema.parse(JSON.parse(json.out))).toMatchObject({ running: true, healthy: false });
});

it('without a node looks from outside, and ends with 0 when nothing would keep one from starting', async () => {
  const { code, out } = await doctor();
  expect(code).toBe(0);
  expect(out).toMatch(/^warn {3}node {6}no node is running in this home\n +→ start one with: gogrid up$/m);
  expect(out).toMatch(/^ok {5}api {7}127\.0\.0\.1:4301 is free$/m);
  expect(out).toMatch(/^warn {3}engine {4}no Ollama answers at http:\/\/127\.0\.0\.1:11434$/m);
  expect(JSON.parse((await doctor(['--json'])).out)).toMatchObject({ running: false, healthy: true });
});

it('names a setting that is wrong, and looks at the rest', async () => {
  const { code, out } = await doctor([], { config: '[api]\nport = 99999\n' });
  expect(code).toBe(1);
  expect(out).toMatch(/^error {2}config {4}.*99999/m);
  expect(out).toMatch(/^ok {5}disk/m);
});

it('a home that cannot be written is an error', async () => {
  const machine = { ...testMachine, home: { ...testMachine.home, problem: 'it is on a read-only disk' } };
  const { code, out } = await doctor([], { machine });
  expect(code).toBe(1);
  expect(out).toMatch(/^error {2}home {6}\/h cannot be written: it is on a read-only disk$/m);
});

it('looks at no engine where none is wanted', async () => {
  expect((await doctor([], { config: '[engine]\nkind = "none"\n' })).out).not.toContain('Ollama');
});
