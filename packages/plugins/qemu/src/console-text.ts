const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Text of a console, with the number of bytes that it stands for. */
export interface ConsoleText {
  readonly text: string;
  readonly bytes: number;
}

/**
 * Decodes UTF-8 so that the text, encoded again, has as many bytes as were read: offsets can be counted on either side. A byte that
 * belongs to no character becomes `?`. The beginning of a character at the end is left for the next call, unless `isEnd`.
 */
export function decodeConsole(data: Uint8Array, isEnd: boolean): ConsoleText {
  const whole = isEnd ? data.length : data.length - incompleteBytes(data);
  try {
    return { text: decoder.decode(data.subarray(0, whole)), bytes: whole };
  } catch {
    let text = "";
    for (let at = 0; at < whole; ) {
      const length = characterLength(data, at);
      const character = length === 0 ? undefined : tryDecode(data.subarray(at, at + length));
      text += character ?? "?";
      at += character === undefined ? 1 : length;
    }
    return { text, bytes: whole };
  }
}

function tryDecode(data: Uint8Array): string | undefined {
  try {
    return decoder.decode(data);
  } catch {
    return undefined;
  }
}

/** How long the character is that begins with this byte (RFC 3629); 0 when none does, or it is cut off. */
function characterLength(data: Uint8Array, at: number): number {
  const first = data[at] as number;
  const length = first < 0x80 ? 1 : first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  return first >= 0xf5 || at + length > data.length ? 0 : length;
}

/** How many bytes at the end begin a character that is not whole. */
function incompleteBytes(data: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, data.length); back += 1) {
    const byte = data[data.length - back] as number;
    if ((byte & 0xc0) === 0x80) continue;
    const length =
      byte >= 0xf0 && byte < 0xf5 ? 4 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xc2 && byte < 0xe0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}
