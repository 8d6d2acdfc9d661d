import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** One run of fio over one NBD connection. */
export interface FioJob {
  /** `nbd+unix:///EXPORT?socket=PATH`. */
  readonly uri: string;
  readonly rw: "randwrite" | "randread" | "write" | "read";
  readonly blockBytes: number;
  readonly depth: number;
  /** Moves so much in all; it may come to the same block twice. */
  readonly totalBytes: number;
  /** The part of the disk that is used, from its start. */
  readonly sizeBytes: number;
  /** A flush after every so many writes. */
  readonly flushEvery?: number;
  readonly seed?: number;
  readonly timeoutSeconds?: number;
}

/** What fio saw. */
export interface FioResult {
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly operations: number;
  /** Completion latencies, in microseconds. */
  readonly p50: number;
  readonly p99: number;
}

interface FioOutput {
  readonly jobs: readonly Record<
    "read" | "write",
    {
      readonly iops: number;
      readonly bw_bytes: number;
      readonly total_ios: number;
      readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> };
    }
  >[];
}

/** Runs fio and reads its JSON. Throws with fio's own words when it fails. */
export async function runFio(job: FioJob): Promise<FioResult> {
  const isWrite = job.rw.endsWith("write");
  const args = [
    "--name=job",
    "--ioengine=nbd",
    `--uri=${job.uri}`,
    `--rw=${job.rw}`,
    `--bs=${job.blockBytes}`,
    `--iodepth=${job.depth}`,
    `--size=${job.sizeBytes}`,
    `--io_size=${job.totalBytes}`,
    `--randseed=${job.seed ?? 1}`,
    // What is written must not be all zeroes, nor the same each time: a server could then do less.
    "--refill_buffers=0",
    "--norandommap",
    ...(job.flushEvery === undefined ? [] : [`--fsync=${job.flushEvery}`]),
    `--runtime=${job.timeoutSeconds ?? 20}`,
    "--output-format=json",
  ];
  const { stdout } = await promisify(execFile)("fio", args, { maxBuffer: 1 << 24 });
  const [result] = (JSON.parse(stdout.slice(stdout.indexOf("{"))) as FioOutput).jobs;
  const side = result?.[isWrite ? "write" : "read"];
  if (side === undefined || side.total_ios === 0) throw new Error(`fio did nothing: ${stdout}`);
  const percentile = (name: string): number => (side.clat_ns.percentile?.[name] ?? 0) / 1_000;
  return {
    iops: side.iops,
    bytesPerSecond: side.bw_bytes,
    operations: side.total_ios,
    p50: percentile("50.000000"),
    p99: percentile("99.000000"),
  };
}
