import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync, deflateSync, zstdCompressSync } from "node:zlib";
import { createImage, Qcow2Image } from "@vdc-os/qcow2";
import { createVmdk } from "@vdc-os/vmdk";

const kib = 1024;
const mib = 1024 * kib;

/** One thing that is given to whoever reads images. */
export interface HostileImage {
  readonly name: string;
  /** A path in the corpus, or a string that only looks like one. */
  readonly path: string;
  /** As what it is said to be. */
  readonly format: "qcow2" | "raw" | "vmdk";
  /** `refused`: an import must fail. `whole`: it must be read as it is. `either`: it works, or fails with a code. */
  readonly expected: "refused" | "whole" | "either";
}

/** The corpus, and what must never be opened. */
export interface HostileCorpus {
  readonly images: readonly HostileImage[];
  /** Where the images are, and nothing else. */
  readonly folder: string;
  /** Files that images name. */
  readonly canaries: readonly string[];
}

type Change = (bytes: Buffer) => void;

const headerChanges: Readonly<Record<string, Change>> = {
  "version 0": (bytes) => bytes.writeUInt32BE(0, 4),
  "version 4": (bytes) => bytes.writeUInt32BE(4, 4),
  "backing name beyond the file": (bytes) => bytes.writeBigUInt64BE(1n << 60n, 8),
  "backing name of 4 GiB": (bytes) => {
    bytes.writeBigUInt64BE(512n, 8);
    bytes.writeUInt32BE(0xffff_ffff, 16);
  },
  "clusters of one byte": (bytes) => bytes.writeUInt32BE(0, 20),
  "clusters of 2^22": (bytes) => bytes.writeUInt32BE(22, 20),
  "clusters of 2^255": (bytes) => bytes.writeUInt32BE(255, 20),
  "8 EiB": (bytes) => bytes.writeBigUInt64BE((1n << 63n) - 512n, 24),
  "64 PiB": (bytes) => bytes.writeBigUInt64BE(1n << 56n, 24),
  "larger than its table": (bytes) => bytes.writeBigUInt64BE(1n << 44n, 24),
  "unknown encryption": (bytes) => bytes.writeUInt32BE(77, 32),
  "AES encryption": (bytes) => bytes.writeUInt32BE(1, 32),
  "LUKS without its header": (bytes) => bytes.writeUInt32BE(2, 32),
  "L1 table of 2^32": (bytes) => bytes.writeUInt32BE(0xffff_ffff, 36),
  "L1 table beyond the file": (bytes) => bytes.writeBigUInt64BE(1n << 40n, 40),
  "L1 table at an odd offset": (bytes) => bytes.writeBigUInt64BE(70_001n, 40),
  "L1 table over the header": (bytes) => bytes.writeBigUInt64BE(0n, 40),
  "L1 table over the refcount table": (bytes) => bytes.copy(bytes, 40, 48, 56),
  "refcount table beyond the file": (bytes) => bytes.writeBigUInt64BE(1n << 50n, 48),
  "refcount table of 2^32 clusters": (bytes) => bytes.writeUInt32BE(0xffff_ffff, 56),
  "refcount block over the L1 table": (bytes) => void bytes.copy(bytes, Number(bytes.readBigUInt64BE(48)), 40, 48),
  "2^32 snapshots": (bytes) => {
    bytes.writeUInt32BE(0xffff_ffff, 60);
    bytes.writeBigUInt64BE(65_536n, 64);
  },
  "snapshots beyond the file": (bytes) => {
    bytes.writeUInt32BE(1, 60);
    bytes.writeBigUInt64BE(1n << 55n, 64);
  },
  "an unknown feature": (bytes) => bytes.writeBigUInt64BE(1n << 40n, 72),
  "the last feature": (bytes) => bytes.writeBigUInt64BE(1n << 63n, 72),
  "a data file without a name": (bytes) => bytes.writeBigUInt64BE(4n, 72),
  "marked corrupt": (bytes) => bytes.writeBigUInt64BE(2n, 72),
  "marked dirty": (bytes) => bytes.writeBigUInt64BE(1n, 72),
  "an unknown compression": (bytes) => {
    bytes.writeBigUInt64BE(8n, 72);
    bytes.writeUInt8(200, 104);
  },
  "refcounts of 2^31 bits": (bytes) => bytes.writeUInt32BE(31, 96),
  "a header of no length": (bytes) => bytes.writeUInt32BE(0, 100),
  "a header of 4 GiB": (bytes) => bytes.writeUInt32BE(0xffff_ffff, 100),
  "an extension of 4 GiB": (bytes) => bytes.writeUInt32BE(0xffff_ffff, bytes.readUInt32BE(100) + 4),
};

/** Changes of an image whose first cluster is written. */
const tableChanges: Readonly<Record<string, Change>> = {
  "an L2 table beyond the file": (bytes) => bytes.writeBigUInt64BE((1n << 63n) | (1n << 54n), l1At(bytes)),
  "an L1 table that is its own L2 table": (bytes) =>
    bytes.writeBigUInt64BE((1n << 63n) | BigInt(l1At(bytes)), l1At(bytes)),
  "an L2 table over the header": (bytes) => bytes.writeBigUInt64BE(1n << 63n, l1At(bytes)),
  "data beyond the file": (bytes) => bytes.writeBigUInt64BE((1n << 63n) | (1n << 54n), l2At(bytes)),
  "data over the L1 table": (bytes) => bytes.writeBigUInt64BE((1n << 63n) | BigInt(l1At(bytes)), l2At(bytes)),
  "data over the L2 table": (bytes) => bytes.writeBigUInt64BE((1n << 63n) | BigInt(l2At(bytes)), l2At(bytes)),
  "compressed data beyond the file": (bytes) => bytes.writeBigUInt64BE((1n << 62n) | (1n << 53n), l2At(bytes)),
  "compressed data that is the header": (bytes) => bytes.writeBigUInt64BE(1n << 62n, l2At(bytes)),
};

function l1At(bytes: Buffer): number {
  return Number(bytes.readBigUInt64BE(40));
}

function l2At(bytes: Buffer): number {
  return Number(bytes.readBigUInt64BE(l1At(bytes)) & 0x00ff_ffff_ffff_fe00n);
}

const descriptorExtents: Readonly<Record<string, (outside: string) => string>> = {
  "an absolute extent": (outside) => `RW 2048 FLAT "${outside}/secret.raw" 0`,
  "an extent that climbs out": () => `RW 2048 FLAT "../outside/secret.raw" 0`,
  "a device as its extent": () => `RW 2048 VMFSRDM "/dev/zero"`,
  "a FIFO as its extent": (outside) => `RW 2048 SPARSE "${outside}/fifo"`,
};

/** Makes a corpus below a folder: images that lie, and the files that they want opened. */
export async function makeHostileCorpus(base: string): Promise<HostileCorpus> {
  const folder = join(base, "images");
  const outside = join(base, "outside");
  for (const made of [folder, outside]) mkdirSync(made);
  const images: HostileImage[] = [];
  const add = (image: Omit<HostileImage, "path">, content: Buffer): string => {
    const path = join(folder, `${images.length}.${image.format}`);
    writeFileSync(path, content);
    images.push({ ...image, path });
    return path;
  };

  const secret = join(outside, "secret.raw");
  writeFileSync(secret, Buffer.alloc(mib, 0x5e));
  const fifo = join(outside, "fifo");
  execFileSync("mkfifo", [fifo]);
  const secretImage = join(outside, "secret.qcow2");
  await createImage({ path: secretImage, virtualSizeBytes: mib });
  for (const path of [secret, secretImage]) utimesSync(path, new Date(0), new Date(0));

  const model = join(outside, "model.qcow2");
  await createImage({ path: model, virtualSizeBytes: mib, clusterSizeBytes: 64 * kib });
  const empty = readFileSync(model);
  {
    await using image = await Qcow2Image.open(model);
    await image.write(Buffer.alloc(64 * kib, 7), 0);
  }
  const written = readFileSync(model);
  const changed = (bytes: Buffer, change: Change): Buffer => {
    const copy = Buffer.from(bytes);
    change(copy);
    return copy;
  };
  for (const [name, change] of Object.entries(headerChanges)) {
    add({ name, format: "qcow2", expected: "either" }, changed(empty, change));
  }
  for (const [name, change] of Object.entries(tableChanges)) {
    add({ name, format: "qcow2", expected: "either" }, changed(written, change));
  }
  for (const length of [0, 3, 71, 104, 4096, 65_536, 200_000]) {
    add({ name: `cut after ${length} bytes`, format: "qcow2", expected: "either" }, written.subarray(0, length));
  }

  await addReferences({ folder, base, model: join(outside, "named.qcow2"), add });
  await addBombs(join(outside, "bomb"), add);
  await addVmdks({ outside, model: join(outside, "model.vmdk"), add });

  // A raw disk whose content is an image that names a file: it stays what it is.
  const names = images.find(({ name }) => name === `names ${secret}`);
  const nested = Buffer.concat([readFileSync(names?.path ?? ""), Buffer.alloc(64 * kib)]);
  add({ name: "a qcow2 image inside a raw disk", format: "raw", expected: "whole" }, nested);
  add(
    { name: "a VMDK descriptor inside a raw disk", format: "raw", expected: "whole" },
    Buffer.alloc(4096, "# Disk DescriptorFile\n"),
  );
  const giant = add(
    { name: "a raw disk of 16 TiB less a block, all holes", format: "raw", expected: "either" },
    Buffer.alloc(0),
  );
  truncateSync(giant, 2 ** 44 - 4096);

  const link = join(folder, "link.qcow2");
  symlinkSync(secretImage, link);
  linkSync(fifo, join(folder, "fifo.qcow2"));
  const strings = [
    link,
    join(folder, "fifo.qcow2"),
    folder,
    "/dev/zero",
    "/dev/tty",
    join(folder, "absent"),
    `json:{"driver":"raw","file":{"driver":"file","filename":"${secret}"}}`,
    "nbd://127.0.0.1:1/x",
    "nbd+unix:///x?socket=/nowhere",
    "ssh://root@127.0.0.1/etc/passwd",
    "http://127.0.0.1:1/disk.qcow2",
    `fat:rw:${outside}`,
    `file:${secret}`,
    "",
    `${secret}\0.qcow2`,
  ];
  for (const path of strings) {
    for (const format of ["qcow2", "raw", "vmdk"] as const) {
      images.push({ name: `the path '${path}' as ${format}`, path, format, expected: "refused" });
    }
  }
  return {
    images,
    folder,
    canaries: [secret, secretImage, fifo, "/etc/passwd", "/etc/shadow", "/dev/zero", "/dev/tty"],
  };
}

type Add = (image: Omit<HostileImage, "path">, content: Buffer) => string;

/** Images that name another file, as their backing or as the place of their data. */
async function addReferences(corpus: {
  readonly folder: string;
  readonly base: string;
  readonly model: string;
  readonly add: Add;
}): Promise<void> {
  const { folder, base, model, add } = corpus;
  const outside = join(base, "outside");
  writeFileSync(join(folder, "inside.raw"), Buffer.alloc(mib, 1));
  symlinkSync(join(outside, "secret.raw"), join(folder, "link"));
  const names = [
    join(outside, "secret.raw"),
    join(outside, "secret.qcow2"),
    join(outside, "fifo"),
    "../outside/secret.raw",
    "./../outside/secret.raw",
    "inside.raw/../../outside/secret.raw",
    "/etc/passwd",
    "/etc/shadow",
    "/dev/zero",
    "link",
    ".",
    "absent",
    `json:{"driver":"file","filename":"${join(outside, "secret.raw")}"}`,
    "nbd://127.0.0.1:1/x",
    "ssh://127.0.0.1/etc/passwd",
    "https://127.0.0.1:1/x",
    `fat:${outside}`,
    `file:${join(outside, "secret.raw")}`,
    "inside.raw\0.qcow2",
  ];
  for (const name of names) {
    // The engine writes no such name, so one of its length is changed.
    const placeholder = "x".repeat(name.length);
    for (const format of ["qcow2", "raw"] as const) {
      await createImage({ path: model, virtualSizeBytes: mib, backing: { path: placeholder, format }, durable: false });
      const bytes = readFileSync(model);
      bytes.write(name, bytes.lastIndexOf(placeholder), "latin1");
      execFileSync("rm", [model]);
      add({ name: `names ${name}${format === "raw" ? " as raw" : ""}`, format: "qcow2", expected: "refused" }, bytes);
    }
    const data = join(outside, placeholder.slice(0, 100));
    await createImage({ path: model, virtualSizeBytes: mib, dataFile: { path: data }, durable: false });
    const bytes = readFileSync(model);
    execFileSync("rm", [model, data]);
    const at = bytes.indexOf(data);
    // The name's length is in the four bytes before it.
    bytes.fill(0, at, at + data.length);
    bytes.writeUInt32BE(name.length, at - 4);
    bytes.write(name, at, "latin1");
    add({ name: `keeps its data in ${name}`, format: "qcow2", expected: "refused" }, bytes);
  }

  const overlay = async (path: string, backing: string): Promise<Buffer> => {
    await createImage({ path, virtualSizeBytes: mib, backing: { path: backing, format: "qcow2" }, durable: false });
    return readFileSync(path);
  };
  await overlay(join(folder, "loop-a"), "loop-b");
  const loop = await overlay(join(folder, "loop-b"), "loop-a");
  add({ name: "a loop of two", format: "qcow2", expected: "refused" }, loop);
  await createImage({ path: join(folder, "deep-0"), virtualSizeBytes: mib, durable: false });
  for (let depth = 1; depth < 300; depth++) await overlay(join(folder, `deep-${depth}`), `deep-${depth - 1}`);
  const deep = readFileSync(join(folder, "deep-299"));
  add({ name: "a chain of 300", format: "qcow2", expected: "refused" }, deep);
}

/** Clusters that become much more than a cluster when they are unpacked. */
async function addBombs(path: string, add: Add): Promise<void> {
  const zeros = Buffer.alloc(256 * mib);
  const bombs = { zlib: deflateRawSync(zeros), zstd: zstdCompressSync(zeros) } as const;
  for (const [compression, bomb] of Object.entries(bombs) as ["zlib" | "zstd", Buffer][]) {
    const clusterSizeBytes = 2 * mib;
    const file = `${path}.${compression}`;
    await createImage({ path: file, virtualSizeBytes: 8 * mib, clusterSizeBytes, compression });
    {
      await using image = await Qcow2Image.open(file);
      await image.write(Buffer.alloc(clusterSizeBytes, 1), 0);
    }
    const bytes = readFileSync(file);
    const sectors = Math.ceil(bomb.length / 512) - 1;
    // qcow2, "Compressed Clusters Descriptor": the sectors are above bit 62 - (21 - 8).
    const entry = (1n << 62n) | (BigInt(sectors) << 49n) | BigInt(bytes.length);
    for (let cluster = 0; cluster < 4; cluster++) bytes.writeBigUInt64BE(entry, l2At(bytes) + cluster * 8);
    add(
      { name: `a bomb of ${compression}`, format: "qcow2", expected: "either" },
      Buffer.concat([bytes, bomb, Buffer.alloc(512)]),
    );
  }
}

/** VMDKs whose descriptor names other files, and whose tables lie. */
async function addVmdks(corpus: {
  readonly outside: string;
  readonly model: string;
  readonly add: Add;
}): Promise<void> {
  const { outside, model, add } = corpus;
  for (const [name, extent] of Object.entries(descriptorExtents)) {
    const text = `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n${extent(outside)}\n`;
    add({ name, format: "vmdk", expected: "refused" }, Buffer.from(text));
  }
  const content = Buffer.alloc(mib, 3);
  const source = {
    sizeBytes: mib,
    read: async (buffer: Uint8Array, offset: number) => void content.copy(buffer, 0, offset),
    map: (offset: number, length: number) => [{ offset, length, kind: "data" as const, depth: 0 }],
  };
  await createVmdk({ path: model, source });
  const good = readFileSync(model);
  const changes: Readonly<Record<string, Change>> = {
    "VMDK version 99": (bytes) => bytes.writeUInt32LE(99, 4),
    "VMDK of 8 EiB": (bytes) => bytes.writeBigUInt64LE(1n << 54n, 12),
    "VMDK of 2^64 sectors": (bytes) => bytes.fill(255, 12, 20),
    "VMDK with grains of nothing": (bytes) => bytes.writeBigUInt64LE(0n, 20),
    "VMDK with grains of 2^60": (bytes) => bytes.writeBigUInt64LE(1n << 60n, 20),
    "VMDK with its descriptor beyond the file": (bytes) => bytes.writeBigUInt64LE(1n << 50n, 28),
    "VMDK with a descriptor of 2^50 sectors": (bytes) => bytes.writeBigUInt64LE(1n << 50n, 36),
    "VMDK with tables of 2^32": (bytes) => bytes.writeUInt32LE(0xffff_ffff, 44),
    "VMDK with its directory beyond the file": (bytes) => bytes.writeBigUInt64LE(1n << 54n, 56),
    "VMDK that names another extent": (bytes) => {
      const at = bytes.indexOf("RW ");
      bytes.fill(10, at, bytes.indexOf(10, at));
      bytes.write(`RW 1 FLAT "/etc/passwd" 0`, at);
    },
    "VMDK with a parent": (bytes) => void bytes.write("parentCID=12345678", bytes.indexOf("parentCID=")),
  };
  for (const [name, change] of Object.entries(changes)) {
    const bytes = Buffer.from(good);
    change(bytes);
    add({ name, format: "vmdk", expected: "either" }, bytes);
  }
  // A grain marker: its sector, the length of what follows, and the stream.
  const grain = good.indexOf(Buffer.from([0x78]), 65_536);
  const bomb = deflateSync(Buffer.alloc(64 * mib));
  const bytes = Buffer.concat([good, Buffer.alloc(512)]);
  bytes.writeUInt32LE(bomb.length, grain - 4);
  bomb.copy(bytes, grain, 0, Math.min(bomb.length, bytes.length - grain));
  add({ name: "VMDK with a bomb", format: "vmdk", expected: "either" }, bytes);
}
