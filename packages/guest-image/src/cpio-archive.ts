/** One entry of a cpio archive. Paths are relative, with `/` between folders. */
export type CpioEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode?: number }
  | { readonly kind: "file"; readonly path: string; readonly mode?: number; readonly content: Uint8Array }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
      readonly kind: "characterDevice";
      readonly path: string;
      readonly mode?: number;
      readonly major: number;
      readonly minor: number;
    };

const fileTypes = { directory: 0o040000, file: 0o100000, link: 0o120000, characterDevice: 0o020000 } as const;

/**
 * Writes a cpio archive in the "newc" format, which the Linux kernel unpacks as its initial file system.
 *
 * Device nodes are written without being root, and owner and times are zero, so equal entries give equal bytes.
 * Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.
 */
export function writeCpioArchive(entries: Iterable<CpioEntry>): Buffer {
  const chunks: Buffer[] = [];
  let inode = 0;
  for (const entry of entries) {
    inode += 1;
    pushEntry(chunks, inode, entry);
  }
  chunks.push(header({ path: "TRAILER!!!", inode: 0, mode: 0, links: 1, size: 0, major: 0, minor: 0 }));
  return Buffer.concat(chunks);
}

function pushEntry(chunks: Buffer[], inode: number, entry: CpioEntry): void {
  const content =
    entry.kind === "file"
      ? Buffer.from(entry.content)
      : entry.kind === "link"
        ? Buffer.from(entry.target)
        : Buffer.alloc(0);
  const permissions = entry.kind === "link" ? 0o777 : (entry.mode ?? (entry.kind === "directory" ? 0o755 : 0o644));
  const [major, minor] = entry.kind === "characterDevice" ? [entry.major, entry.minor] : [0, 0];
  chunks.push(
    header({
      path: entry.path,
      inode,
      mode: fileTypes[entry.kind] | permissions,
      links: entry.kind === "directory" ? 2 : 1,
      size: content.length,
      major,
      minor,
    }),
    content,
    padding(content.length),
  );
}

interface HeaderFields {
  readonly path: string;
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly size: number;
  readonly major: number;
  readonly minor: number;
}

function header({ path, inode, mode, links, size, major, minor }: HeaderFields): Buffer {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (2), rdevice (2), name size, checksum
  const fields = [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name.length, 0];
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`;
  return Buffer.concat([Buffer.from(text), name, padding(text.length + name.length)]);
}

/** Every header and every content starts at a multiple of four bytes. */
function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}
