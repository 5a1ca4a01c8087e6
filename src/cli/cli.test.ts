import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../config/settings.ts';
import { GoGridError } from '../errors.ts';
import { type SmallWorldOptions, smallWorld } from '../testing/small-world.ts';
import { runCli } from './cli.ts';
import { COMMANDS, PLANNED } from './commands.ts';

async function gogrid(args: string, options: SmallWorldOptions = {}) {
  const small = smallWorld(
    args.split(' ').filter((word) => word !== ''),
    options,
  );
  const code = await runCli(small.world);
  return { code, out: small.stdout(), err: small.stderr(), config: small.config() };
}

describe('help', () => {
  it.each(['', '--help', '-h', 'help', '--json'])('gogrid %s lists the commands', async (args) => {
    const { code, out } = await gogrid(args);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(out).toContain(command.summary);
  });

  it.each(COMMANDS.map((command) => [command.name, command] as const))(
    'explains %s, with an example',
    async (name, command) => {
      const { code, out } = await gogrid(`help ${name}`);
      expect(code).toBe(0);
      expect(out).toContain(command.example.line);
      expect((await gogrid(`${name} --help`)).out).toBe(out);
      expect((await gogrid(`${name} x -h`)).out).toBe(out);
      for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
    },
  );

  it('of up has every setting', async () => {
    const { out } = await gogrid('help up');
    for (const setting of SETTINGS) expect(out).toContain(`--${setting.flag}\n`);
  });

  it('tells the version', async () => {
    expect(await gogrid('--version')).toMatchObject({ code: 0, out: 'gogrid 1.2.3\n' });
  });
});

it('docs/cli.md has a chapter for every command, and for none that is not there', async () => {
  const text = await readFile(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  const chapters = [...text.matchAll(/^## `gogrid (\w+)/gm)].map(([, name]) => name);
  expect(chapters.toSorted()).toEqual(COMMANDS.map(({ name }) => name).toSorted());
});

describe('wrong usage', () => {
  it.each([
    ['stauts', "there is no command 'stauts'; did you mean 'status'?"],
    ['frobnicate', "there is no command 'frobnicate'"],
    ['help stauts', "did you mean 'status'?"],
    ['--verison', 'there is no flag --verison; did you mean --version?'],
    ['status --jsn', 'there is no flag --jsn; did you mean --json?'],
    ['up --api-prot 5000', 'there is no flag --api-prot; did you mean --api-port?'],
    ['up --home=', '--home needs a folder'],
    ['status now', "status takes no 'now'"],
    ['peers show', 'peers show wants the id or the name of one peer'],
    ['peers accept', 'peers accept wants the id or the name of one peer'],
    ['peers invite x', "peers cannot 'invite x'"],
    ['models rm', 'models rm wants the name of one model'],
    ['jobs cancel', 'jobs cancel wants the id of one job'],
    ['jobs --limit 1001', "'1001' is not a whole number from 1 to 1000"],
    ['logs --level loud', "'loud' is not one of trace"],
    ['logs -n -5', "'-5' is not a whole number"],
    ['run', 'run wants a model and a prompt'],
    ['run llama3.2', 'run wants a prompt'],
    ['config get', "config cannot 'get'"],
    ['config get api.prt', 'did you mean api.port?'],
  ])('gogrid %s: exit 2', async (args, message) => {
    const { code, out, err } = await gogrid(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(message);
    expect(err).toContain('hint:');
  });

  it('says what is planned', async () => {
    for (const word of PLANNED) {
      expect(await gogrid(word)).toMatchObject({ code: 2, err: expect.stringContaining('not built yet') });
      expect(COMMANDS.map((command) => command.name)).not.toContain(word);
    }
  });

  it('is told to programs as JSON', async () => {
    const { err } = await gogrid('stauts --json');
    expect(JSON.parse(err)).toEqual({
      error: { code: 'usage', message: expect.any(String), hint: 'see `gogrid --help`' },
    });
  });
});

describe('without a node', () => {
  it.each(['status', 'peers', 'models', 'jobs', 'run m hello', 'logs --follow', 'jobs cancel x'])(
    'gogrid %s: exit 3',
    async (args) => {
      const { code, err } = await gogrid(args);
      expect(code).toBe(3);
      expect(err).toContain('no node is running in /h');
      expect(err).toContain('gogrid up');
    },
  );

  it('of a named home says how to start that one', async () => {
    expect((await gogrid('--home /other status')).err).toContain('gogrid up --home /other');
    expect((await gogrid('status --home /other')).err).toContain('gogrid up --home /other');
  });

  it('knows a node that died', async () => {
    const { code, err } = await gogrid('status', { node: { api: 'http://127.0.0.1:1', key: 'k', alive: false } });
    expect(code).toBe(3);
    expect(err).toContain('process 4711');
  });

  it('knows a process that is no node', async () => {
    const { code, err } = await gogrid('status', { node: { api: 'http://127.0.0.1:1', key: 'k' } });
    expect(code).toBe(3);
    expect(err).toContain('nothing answers at http://127.0.0.1:1');
  });

  it('logs shows what the last one wrote', async () => {
    const { code, out } = await gogrid('logs --level warn -n 7', {
      config: '[logging]\nlog_file = "elsewhere.log"\n',
      home: {
        tailLog: async (file, count, level) => [
          { time: 0, level: 'warn', message: `${file} ${count} ${level}`, part: 'x', a: 1 },
        ],
      },
    });
    expect(code).toBe(0);
    expect(out).toMatch(/^1970-01-0\d \d\d:\d\d:\d\d\.000 warn {2}x {9}elsewhere.log 7 warn a=1\n$/);
  });
});

describe('config', () => {
  it('shows every setting with its source', async () => {
    const options = { config: '[api]\nport = 5000\n', env: { GOGRID_WORKER_MAX_JOB_SECS: '5' } };
    const { out } = await gogrid('config', options);
    expect(out.split('\n')).toHaveLength(SETTINGS.length + 2);
    expect(out).toMatch(/^api\.port +5000 +\/h\/config\.toml, line 2$/m);
    expect(out).toMatch(/^worker\.max_job_secs +5 +GOGRID_WORKER_MAX_JOB_SECS$/m);
    expect(out).toMatch(/^api\.host +127\.0\.0\.1 +default$/m);
    expect(JSON.parse((await gogrid('config --json', options)).out)['api.port']).toEqual({
      value: 5000,
      source: '/h/config.toml, line 2',
      built: true,
    });
  });

  it('gets one value, bare', async () => {
    expect((await gogrid('config get api.port')).out).toBe('4301\n');
    expect((await gogrid('config get network.bootstrap')).out).toBe('\n');
    expect((await gogrid('config path')).out).toBe('/h/config.toml\n');
  });

  it('sets and unsets a value in the file, comments kept', async () => {
    const set = await gogrid('config set api.port 5000', { config: '# mine\n[api]\nhost = "::1" # six\n' });
    expect(set).toMatchObject({ code: 0, config: '# mine\n[api]\nhost = "::1" # six\nport = 5000\n', err: '' });
    const unset = await gogrid('config unset api.port', { config: set.config ?? '' });
    expect(unset).toMatchObject({ code: 0, config: '# mine\n[api]\nhost = "::1" # six\n' });
    expect((await gogrid('config set worker.max_job_secs 9')).config).toContain(
      'version = 1\n\n[worker]\nmax_job_secs = 9\n',
    );
  });

  it.each([
    ['config set api.port much', 'is not a whole number', 2],
    ['config set api.prt 1', 'did you mean api.port?', 2],
  ])('%s changes nothing', async (args, message, code) => {
    expect(await gogrid(args)).toMatchObject({ code, config: undefined, err: expect.stringContaining(message) });
  });

  it('says that a running node, or a variable, does not see the change', async () => {
    const { err } = await gogrid('config set api.port 5000', {
      node: { api: 'http://127.0.0.1:1', key: 'k' },
      env: { GOGRID_API_PORT: '6000' },
    });
    expect(err).toContain('GOGRID_API_PORT is set and wins over the file');
    expect(err).toContain('next start');
  });

  it('mends a file that no node would start with', async () => {
    const broken = { config: '[api]\nport = 99999\nhst = "x"\n' };
    expect(await gogrid('config get api.host', broken)).toMatchObject({ code: 2 });
    const mended = await gogrid('config set api.port 5000', broken);
    expect(mended).toMatchObject({ code: 1, config: '[api]\nport = 5000\nhst = "x"\n' });
    expect(mended.err).toContain("there is no setting 'api.hst'");
  });

  it('opens the editor on a file that is there', async () => {
    const opened: string[] = [];
    const edit = async (file: string) => {
      opened.push(file);
      return 0;
    };
    expect(await gogrid('config edit', { edit })).toMatchObject({
      code: 0,
      config: expect.stringContaining('version = 1'),
    });
    expect(opened).toEqual(['/h/config.toml']);
    expect((await gogrid('config edit', { edit: async () => 1 })).code).toBe(1);
  });
});

it('a defect is an error with its stack, and exit 1', async () => {
  const { code, err } = await gogrid('status', {
    home: {
      mark: async () => {
        throw new TypeError('x is not a function');
      },
    },
  });
  expect(code).toBe(1);
  expect(err).toContain('unexpected error: x is not a function');
  expect(err).toContain('cli.test.ts');
});

it('an error of any code ends with its exit code', async () => {
  const failing = (error: GoGridError) => gogrid('status', { home: { mark: async () => Promise.reject(error) } });
  expect((await failing(new GoGridError({ code: 'home_in_use', message: 'x' }))).code).toBe(4);
  expect((await failing(new GoGridError({ code: 'privacy_unserved', message: 'x' }))).code).toBe(5);
});
