import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { GoGridError } from '../errors.ts';
import { LOG_LEVELS } from '../telemetry/logger.ts';
import { type ConfigInput, isConfigured, resolveConfig } from './resolve.ts';
import { SCHEMA } from './schema.ts';
import type { SettingValue } from './setting.ts';
import { type Config, type NamedSetting, SETTINGS, type SettingName, valueIn } from './settings.ts';
import { toText } from './value.ts';

const PATH = '/home/me/config.toml';
const PEER = '/ip4/192.168.1.10/tcp/8443/p2p/12D3KooWGzBkQ3nCqVdQZ8XtT9uEJ1vVYV1Y1B1Fq1mH9m2a7bCd';

function failure(input: ConfigInput): GoGridError {
  try {
    resolveConfig(input);
  } catch (thrown) {
    if (thrown instanceof GoGridError) return thrown;
    throw thrown;
  }
  throw new Error('it was accepted');
}

const file = (text: string) => ({ path: PATH, text });

/** Values that a setting takes, the rare ones among them. */
function valuesOf(setting: NamedSetting): fc.Arbitrary<SettingValue> {
  const planned = 'planned' in setting ? Object.keys(setting.planned ?? {}) : [];
  switch (setting.type) {
    case 'boolean':
      return fc.boolean();
    case 'choice':
      return fc.constantFrom(...setting.values.filter((value) => value !== '' && !planned.includes(value)));
    case 'integer':
      return fc.integer({ min: setting.min, max: setting.max });
    case 'number':
      return fc
        .double({ min: setting.min, max: setting.max, noNaN: true })
        .map((value) => Number(value.toFixed(4)) + 0);
    case 'list':
      if (setting.values !== undefined) return fc.constant(setting.values.filter((value) => !planned.includes(value)));
      return fc.uniqueArray(fc.constantFrom(...(LIST_ITEMS[setting.name] ?? [])), { minLength: 1 });
    case 'text':
      return fc.constantFrom(...(TEXTS[setting.name] ?? []));
  }
}

const LIST_ITEMS: Record<string, string[]> = {
  'network.bootstrap': [PEER, PEER.replace('ip4/192.168.1.10', 'dns4/seed.example.org')],
  'api.allowed_origins': ['https://example.org', 'http://localhost:3000'],
  'api.allowed_hosts': ['kitchen', 'box.example.org', '192.168.1.5'],
};
const TEXTS: Record<string, string[]> = {
  'node.node_name': ['kitchen', 'Ünïcode "quoted" \\ name 🦆'],
  'node.region': ['home'],
  'network.listen': ['0.0.0.0', '::1', '192.168.1.5'],
  'network.descriptor': ['~/mesh.json', '/etc/a b#c.json'],
  'api.host': ['::', 'localhost'],
  'engine.ollama_url': ['http://192.168.1.5:11434', 'https://box.example.org/ollama'],
  'engine.models_dir': ['models2'],
  'logging.log_file': ['/var/log/gogrid.log', 'C:\\logs\\gogrid.log'],
};

const settingAndValue = fc
  .constantFrom(...SETTINGS)
  .chain((setting) => fc.tuple(fc.constant(setting), valuesOf(setting)));

const asToml = (value: SettingValue) =>
  typeof value === 'object' || typeof value === 'string' ? JSON.stringify(value) : String(value);

describe('a value', () => {
  it('means the same as a flag, as a variable and in the file (G74, C4)', () => {
    fc.assert(
      fc.property(settingAndValue, ([setting, value]) => {
        const text = toText(value);
        const byFlag = resolveConfig({ flags: new Map([[setting.name, text]]) });
        const byVariable = resolveConfig({ env: { [setting.variable]: text } });
        const byFile = resolveConfig({ file: file(`[${setting.section}]\n${setting.key} = ${asToml(value)}\n`) });
        expect(byVariable.config).toEqual(byFlag.config);
        expect(byFile.config).toEqual(byFlag.config);
        expect(valueIn(byFile.config, setting)).toEqual(value);
        expect(byFlag.sources.get(setting.name)).toEqual({ kind: 'flag', flag: `--${setting.flag}` });
        expect(byVariable.sources.get(setting.name)).toEqual({ kind: 'variable', variable: setting.variable });
        expect(byFile.sources.get(setting.name)).toEqual({ kind: 'file', path: PATH, line: 2 });
      }),
    );
  });

  it('of a flag wins over a variable, that over the file, that over the default', () => {
    fc.assert(
      fc.property(
        fc
          .constantFrom(...SETTINGS)
          .chain((setting) =>
            fc.tuple(fc.constant(setting), fc.array(valuesOf(setting), { minLength: 3, maxLength: 3 })),
          ),
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        ([setting, [inFlag, inVariable, inFile]], hasFlag, hasVariable, hasFile) => {
          const resolved = resolveConfig({
            ...(hasFlag ? { flags: new Map([[setting.name, toText(inFlag)]]) } : {}),
            ...(hasVariable ? { env: { [setting.variable]: toText(inVariable) } } : {}),
            ...(hasFile ? { file: file(`${setting.section}.${setting.key} = ${asToml(inFile)}`) } : {}),
          });
          const expected = hasFlag ? inFlag : hasVariable ? inVariable : hasFile ? inFile : setting.default;
          expect(valueIn(resolved.config, setting)).toEqual(expected);
          expect(isConfigured(resolved, setting.name)).toBe(hasFlag || hasVariable || hasFile);
        },
      ),
    );
  });

  it('that is a path begins at the working folder in a flag and a variable, and stays as it is in the file', () => {
    const workingFolder = path.resolve('/folder');
    const { config } = resolveConfig({
      workingFolder,
      flags: new Map([['network.descriptor', '../network.json']]),
      env: { GOGRID_ENGINE_MODELS_DIR: 'models', GOGRID_NODE_NODE_NAME: 'kitchen' },
      file: file('[logging]\nlog_file = "own.log"\n'),
    });
    expect(config.network.descriptor).toBe(path.resolve('/network.json'));
    expect(config.engine.models_dir).toBe(path.resolve('/folder/models'));
    expect(config.logging.log_file).toBe('own.log');
    expect(config.node.node_name).toBe('kitchen');
    // The user's folder, and the default, are no business of the working folder.
    const env = { GOGRID_ENGINE_MODELS_DIR: '~/models', GOGRID_LOGGING_LOG_FILE: '' };
    expect(resolveConfig({ workingFolder, env }).config).toMatchObject({
      engine: { models_dir: '~/models' },
      logging: { log_file: '' },
    });
  });

  it('that is empty means the default', () => {
    const { config, sources } = resolveConfig({
      file: file('[api]\nport = 5000\n'),
      env: { GOGRID_API_PORT: '', GOGRID_ENGINE_OLLAMA_URL: ' ' },
      flags: new Map([['engine.kind', '']]),
    });
    expect(config.api.port).toBe(4301);
    expect(config.engine).toEqual({ kind: 'auto', ollama_url: 'http://127.0.0.1:11434', models_dir: '' });
    expect(sources.get('api.port')).toEqual({ kind: 'default' });
  });
});

describe('a configuration', () => {
  it('is the defaults when nothing is set, typed and frozen all the way down', () => {
    const { config, warnings } = resolveConfig({ env: { PATH: '/bin', OLLAMA_HOST: '127.0.0.1:4301' } });
    expect(warnings).toEqual([]);
    for (const setting of SETTINGS) expect(valueIn(config, setting)).toEqual(setting.default);
    expect(Object.isFrozen(config)).toBe(true);
    for (const section of Object.values(config)) {
      expect(Object.isFrozen(section)).toBe(true);
      for (const value of Object.values(section)) expect(Object.isFrozen(value)).toBe(true);
    }
    expectTypeOf(config.api.port).toEqualTypeOf<number>();
    expectTypeOf(config.network.bootstrap).toEqualTypeOf<readonly string[]>();
    expectTypeOf(config.engine.kind).toEqualTypeOf<'auto' | 'ollama' | 'embedded' | 'none'>();
    expectTypeOf(config.resources.cpu_threshold).toEqualTypeOf<number | undefined>();
    expectTypeOf<Config['api']['require_key']>().toEqualTypeOf<boolean>();
  });

  it('has the names that scripts rely on', () => {
    const variables = SETTINGS.map((setting) => setting.variable);
    expect(variables).toEqual(expect.arrayContaining(CONTRACT));
    expect(new Set(variables).size).toBe(variables.length);
    expect(new Set(SETTINGS.map((setting) => setting.flag)).size).toBe(SETTINGS.length);
  });

  it('knows the levels of the logger', () => {
    expect(SCHEMA.logging.level.values).toEqual(LOG_LEVELS);
  });

  it('has defaults that pass their own checks', () => {
    for (const setting of SETTINGS) {
      if (setting.default === undefined || setting.default === '') continue;
      expect(() => resolveConfig({ env: { [setting.variable]: toText(setting.default) } })).not.toThrow();
    }
  });
});

describe('what is wrong', () => {
  it('is told all at once, each with its place', () => {
    const error = failure({
      file: file('version = 1\n\n[api]\nport = "4301"\nprot = 3\n\n[netwrok]\nlisten = "x"\nport = 1\n'),
      env: { GOGRID_API_PRT: '1', GOGRID_WORKER_MAX_WAIT_SECS: 'soon' },
      flags: new Map<SettingName, string>([['network.port', '65536']]),
    });
    expect(error.code).toBe('invalid_config');
    expect(error.exit).toBe(2);
    expect(error.data.problems).toEqual([
      `api.port: '4301' is not a number (from ${PATH}, line 4); allowed: a whole number from 0 to 65535`,
      `${PATH}, line 5: there is no setting 'api.prot'; did you mean api.port?`,
      `${PATH}, line 8: there is no section [netwrok]; did you mean [network]?`,
      "the variable GOGRID_API_PRT is not one of GoGrid's; did you mean GOGRID_API_PORT?",
      "worker.max_wait_secs: 'soon' is not a whole number (from GOGRID_WORKER_MAX_WAIT_SECS); allowed: a whole number from 0 to 3600",
      "network.port: '65536' is too large (from --network-port); allowed: a whole number from 0 to 65535",
    ]);
    for (const problem of error.data.problems as string[]) expect(error.message).toContain(problem);
  });

  it.each([
    ['version = 2', 'version 2 is of a newer GoGrid'],
    ['version = 0', 'version is not 1'],
    ['version = "1"', 'version is not 1'],
    ['port = 5000', "'port' belongs under [network]"],
    ['apo = 1', "there is no setting 'apo' outside of a section; did you mean api?"],
    ['api = 5', "'api' is a section; write [api]"],
    ['[[api]]\nport = 1', "'api' is a section; write [api]"],
    ['[worker]\nmax_job_secs = 1.5', "'1.5' is not a whole number"],
    ['[resources]\ncpu_threshold = nan', 'is too small'],
    ['[resources]\ncpu_threshold = 1.01', 'is too large'],
    ['[api]\nrequire_key = "true"', 'is neither true nor false'],
    ['[api.port]\nx = 1', 'is not a number'],
    ['[network]\nbootstrap = "/ip4/1.2.3.4"', 'is not a list'],
    ['[network]\nbootstrap = [1]', 'is not a text in quotes'],
    ['[network]\nbootstrap = ["/ip4/1.2.3.4/tcp/8443"]', 'does not end in /p2p/'],
    ['[network]\nbootstrap = ["192.168.1.1:8443"]', 'is not a multiaddr'],
    ['[network]\ntransports = []', 'is empty'],
    ['[network]\nlisten = "kitchen"', 'is not an IP address'],
    ['[engine]\nollama_url = "192.168.1.1:11434"', 'is not'],
    ['[engine]\nollama_url = "http://me:secret@host"', 'has a name or a password in it'],
    ['[api]\nallowed_origins = ["https://example.org/"]', 'write https://example.org'],
    ['[node]\nnode_name = "a\\u001bb"', 'cannot be printed'],
    [`[node]\nnode_name = "${'x'.repeat(65)}"`, 'is longer than 64 characters'],
    ['[constructor]\nx = 1', 'there is no section [constructor]'],
    ['__proto__ = 1', "there is no setting '__proto__'"],
    ['[api]\n__proto__ = 1', "there is no setting 'api.__proto__'"],
  ])('%j is refused', (text, message) => {
    const error = failure({ file: file(text) });
    expect(error.code).toBe('invalid_config');
    expect(error.message).toContain(message);
    expect(error.message).toContain(PATH);
  });

  it('GOGRID_NETWORK_ACCEPT=members is refused until it is built', () => {
    const error = failure({ env: { GOGRID_NETWORK_ACCEPT: 'members' } });
    expect(error.code).toBe('not_built');
    expect(error.exit).toBe(2);
    expect(error.message).toContain('not built yet');
  });

  it('is cut where it is long', () => {
    expect(failure({ env: { GOGRID_API_PORT: 'x'.repeat(100_000) } }).message.length).toBeLessThan(400);
  });
});

describe('a warning', () => {
  it('says what letting everybody in means', () => {
    const { warnings } = resolveConfig({ env: { GOGRID_NETWORK_ACCEPT: 'all' } });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('network.listen is 0.0.0.0');
    const alone = { GOGRID_NETWORK_ACCEPT: 'all', GOGRID_NETWORK_LISTEN: '127.0.0.2' };
    expect(resolveConfig({ env: alone }).warnings).toEqual([]);
    expect(resolveConfig({ env: {} }).warnings).toEqual([]);
  });

  it('says what has no effect yet, but not of what is switched off', () => {
    const { warnings } = resolveConfig({
      env: { GOGRID_RESOURCES_MODE: 'aggressive', GOGRID_RESOURCES_ENABLE_ADAPTIVE_THROTTLING: 'false' },
    });
    expect(warnings).toEqual([
      'resources.mode is set (GOGRID_RESOURCES_MODE) and has no effect: its part is not built yet.',
    ]);
  });
});

/** The variables that harnesses and packages may set in any version. */
const CONTRACT = [
  'GOGRID_API_HOST',
  'GOGRID_API_PORT',
  'GOGRID_NETWORK_PORT',
  'GOGRID_NETWORK_LISTEN',
  'GOGRID_NETWORK_BOOTSTRAP',
  'GOGRID_NETWORK_MDNS',
  'GOGRID_NETWORK_ACCEPT',
  'GOGRID_NETWORK_DESCRIPTOR',
  'GOGRID_ENGINE_KIND',
  'GOGRID_ENGINE_OLLAMA_URL',
  'GOGRID_ENGINE_MODELS_DIR',
  'GOGRID_WORKER_MAX_CONCURRENT_JOBS',
  'GOGRID_WORKER_MAX_WAIT_SECS',
  'GOGRID_WORKER_FREE_JOBS_PER_PEER_PER_MINUTE',
  'GOGRID_RESOURCES_MODE',
  'GOGRID_RESOURCES_ENABLE_ADAPTIVE_THROTTLING',
  'GOGRID_PRIVACY_DEFAULT',
  'GOGRID_CREDITS_CHANNEL_IDLE_SECS',
  'GOGRID_CREDITS_REQUIRE_FINAL',
  'GOGRID_CREDITS_STRANGER_CAP_MICROCREDITS',
  'GOGRID_CREDITS_LONE_RELEASE_SECS',
  'GOGRID_LOGGING_LEVEL',
];
