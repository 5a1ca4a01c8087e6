/**
 * `network.json`: a network descriptor in readable form, bytes as hex and credits as a decimal text. Nothing may stand in it
 * that the signature does not cover.
 */

import { z } from 'zod';
import { GoGridError } from '../errors.ts';
import { type AdmissionRule, type NetworkDescriptor, openDescriptor, sealDescriptor } from './descriptor.ts';

const hexText = (bytes?: number) =>
  z
    .string('is not a text')
    .regex(/^([0-9a-f]{2})*$/, 'is not hex in small letters')
    .refine((text) => bytes === undefined || text.length === 2 * bytes, `is not ${bytes} bytes in hex`);

const fileSchema = z.strictObject({
  version: z.number(),
  name: z.string(),
  networkId: hexText(32),
  founder: hexText(),
  genesisMicrocredits: z.string().regex(/^(0|[1-9][0-9]{0,18})$/, 'is not a whole number in quotes'),
  createdAt: z.number(),
  revision: z.number(),
  bootstrap: z.array(z.string()),
  admission: z.string(),
  witnesses: z.array(hexText()),
  params: z.record(z.string(), z.union([z.number(), z.string()])),
  signature: hexText(64),
});

/** The text of `network.json`. */
export function writeDescriptor({ core, terms, signature, networkId }: NetworkDescriptor): string {
  const { witnesses, ...rest } = terms;
  const file: z.infer<typeof fileSchema> = {
    version: core.version,
    name: core.name,
    networkId: hex(networkId),
    founder: hex(core.founder),
    genesisMicrocredits: String(core.genesisMicrocredits),
    createdAt: core.createdAt,
    revision: rest.revision,
    bootstrap: [...rest.bootstrap],
    admission: rest.admission,
    witnesses: witnesses.map(hex),
    params: { ...rest.params },
    signature: hex(signature),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/**
 * Reads `network.json`. A field that this version does not know is refused: the signature does not cover it.
 * @throws GoGridError `invalid_descriptor` saying what is wrong
 */
export function readDescriptor(text: string): NetworkDescriptor {
  const fail = (message: string, cause?: unknown) =>
    new GoGridError({
      code: 'invalid_descriptor',
      message,
      hint: 'get the file again from whoever runs the mesh: not one character of it may be changed by hand',
      cause,
    });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw fail('it is not JSON', cause);
  }
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) throw fail(fileProblem(parsed.error), parsed.error);
  const { networkId, signature, founder, genesisMicrocredits, witnesses, ...rest } = parsed.data;
  const core = { ...rest, founder: unhex(founder), genesisMicrocredits: BigInt(genesisMicrocredits) };
  const terms = { ...rest, admission: rest.admission as AdmissionRule, witnesses: witnesses.map(unhex) };
  const descriptor = tryOpen(sealDescriptor({ core, terms, signature: unhex(signature) }), fail);
  if (hex(descriptor.networkId) !== networkId)
    throw fail(`networkId is not that of this mesh, ${hex(descriptor.networkId)}`);
  return descriptor;
}

function tryOpen(bytes: Uint8Array, fail: (message: string, cause: unknown) => GoGridError): NetworkDescriptor {
  try {
    return openDescriptor(bytes, 'invalid_descriptor');
  } catch (thrown) {
    throw fail(thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
}

function fileProblem(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue?.code === 'unrecognized_keys') return `this version knows no field '${issue.keys[0]?.slice(0, 40)}'`;
  const [field] = issue?.path ?? [];
  if (field === undefined) return 'it is not a descriptor';
  return issue?.code === 'invalid_type'
    ? `${String(field)} is missing or of the wrong kind`
    : `${String(field)} ${issue?.message}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}
