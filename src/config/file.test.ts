import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NEW_FILE, readEntries, setInFile, unsetInFile } from './file.ts';
import { resolveConfig, settingNamed } from './resolve.ts';
import { SETTINGS, valueIn } from './settings.ts';

const file = (text: string) => ({ path: 'config.toml', text });
const port = settingNamed('api.port');
const host = settingNamed('api.host');

const REAL = `# My mesh
version = 1

[api] # what clients call
# 4301 was taken
port = 5000 # since March

# Others, too
[network]
bootstrap = [
  # the cellar
  "/ip4/10.0.0.1/tcp/8443/p2p/12D3KooWGzBkQ3nCqVdQZ8XtT9uEJ1vVYV1Y1B1Fq1mH9m2a7bCd", # always on
]
`;

describe('reading', () => {
  it('gives every key its line', () => {
    expect(readEntries(file(REAL)).map(({ path, line }) => [path.join('.'), line])).toEqual([
      ['version', 2],
      ['api.port', 6],
      ['network.bootstrap', 10],
    ]);
  });

  it.each([
    ['dotted keys', 'api.port = 1\napi.host = "::1"', 2],
    ['an inline table', 'api = { port = 1, host = "::1" }', 2],
    ['quoted keys', '["api"]\n"port" = 1\n\'host\' = "::1"', 2],
    ['Windows line ends', '[api]\r\nport = 1\r\n# c\r\nhost = "::1"\r\n', 2],
    ['a byte order mark', '\uFEFF[api]\nport = 1\nhost = "::1"', 2],
    ['numbers in other bases', '[api]\nport = 0x1\nhost = """::1"""', 2],
    ['nothing at all', '# only this', 0],
  ])('understands %s', (_what, text, count) => {
    const { config, sources } = resolveConfig({ file: file(text) });
    expect([...sources.values()].filter((source) => source.kind === 'file')).toHaveLength(count);
    expect(config.api.port).toBe(count === 0 ? 4301 : 1);
  });

  it.each([
    ['[api]\nport = 1\nport = 2\n', 'config.toml, line 3, column 1: Value already defined for api.port'],
    ['[api]\nhost = localhost\n', 'config.toml, line 2, column 8: Invalid'],
    ['[api\nport = 1\n', 'config.toml, line 2, column 1'],
    [`a = ${'['.repeat(20_000)}`, 'config.toml: nested too deep'],
  ])('says where the text is broken: %#', (text, message) => {
    expect(() => resolveConfig({ file: file(text) })).toThrow(message);
  });
});

describe('setting a value', () => {
  it('keeps comments, order and line ends', () => {
    expect(setInFile(file(REAL), port, 4301)).toBe(REAL.replace('port = 5000', 'port = 4301'));
    expect(setInFile(file('[api]\r\nport = 1 # c\r\n'), port, 2)).toBe('[api]\r\nport = 2 # c\r\n');
  });

  it('puts a new key under the last one of its section, before the comment of the next', () => {
    expect(setInFile(file(REAL), host, '::1')).toBe(
      REAL.replace('port = 5000 # since March\n', 'port = 5000 # since March\nhost = "::1"\n'),
    );
    expect(setInFile(file('[api]\r\n\r\n# next\r\n[node]\r\n'), port, 2)).toBe(
      '[api]\r\nport = 2\r\n\r\n# next\r\n[node]\r\n',
    );
  });

  it('begins a section that is not there, and a file', () => {
    expect(setInFile(file('# only this'), port, 2)).toBe('# only this\n\n[api]\nport = 2\n');
    expect(setInFile(file(''), port, 2)).toBe('[api]\nport = 2\n');
    expect(setInFile(file(NEW_FILE), port, 2)).toBe(`${NEW_FILE}\n[api]\nport = 2\n`);
  });

  it.each(['api.host = "::1"\n', 'api = { host = "::1" }\n', '["api"]\nhost = "::1"\n'])(
    'finds its place in %j',
    (text) => {
      const { config } = resolveConfig({ file: file(setInFile(file(text), port, 2)) });
      expect(config.api).toMatchObject({ port: 2, host: '::1' });
    },
  );

  it('refuses to replace something else', () => {
    expect(() => setInFile(file('api = 5\n'), port, 2)).toThrow("'api' is not a section");
  });

  it('then unsetting it gives the same settings as before, comments in place', () => {
    expect(unsetInFile(file(REAL), host)).toBe(REAL);
    expect(unsetInFile(file(setInFile(file(REAL), host, '::1')), host)).toBe(REAL);
    const without = unsetInFile(file(REAL), port);
    expect(resolveConfig({ file: file(without) }).config.api.port).toBe(4301);
    expect(without).toContain('# always on');
  });
});

describe('any text', () => {
  it('comes back from the file as it was set', () => {
    const setting = settingNamed('network.descriptor');
    const path = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 40 })
      .filter((text) => text.trim() === text && !text.includes('\0'));
    fc.assert(
      fc.property(path, fc.constantFrom('', REAL, '[network]\n', 'network.descriptor = "x"\n'), (text, before) => {
        const after = setInFile(file(before), setting, text);
        expect(valueIn(resolveConfig({ file: file(after) }).config, setting)).toBe(text);
      }),
    );
  });
});

it('every setting can be written to a new file one after the other', () => {
  let text = NEW_FILE;
  for (const setting of SETTINGS)
    if (setting.default !== undefined) text = setInFile(file(text), setting, setting.default);
  const { config, sources } = resolveConfig({ file: file(text) });
  for (const setting of SETTINGS) {
    if (setting.default === undefined) continue;
    expect(valueIn(config, setting)).toEqual(setting.default);
    expect(sources.get(setting.name)?.kind).toBe('file');
  }
});
