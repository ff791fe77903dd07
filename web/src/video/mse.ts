// Feeds a <video> from the binary messages of /video/live and /video/playback, by Media Source Extensions.
//
// A message begins with 24 bytes, big endian: kind (1 opening, 2 media), flags (1 key frame), two bytes 0, duration in
// ticks (4), when it arrived at the recorder in Unix microseconds (8), when it is shown in ticks (8). An opening goes
// on with the length of the codec's name, the name, and ftyp and moov; media with moof and mdat. See live/messages.py.

const HEAD = 24;
const TICKS = 90_000;
const OPENING = 1;
const KEEP_SECONDS = 10; // behind the picture, of what was shown
const HASTE = 8; // so many times as fast for each second of delay too many
const CALM_SECONDS = 0.02;
const FORGET_SECONDS = 20; // of buffer, before that is tidied up

export type Shown = {
  /** When the picture on the screen arrived at the recorder, Unix milliseconds of the server's clock. */
  wall: number;
  /** Where it lies on the element's timeline, in seconds. */
  at: number;
  /** When it was put on the screen, `performance.now()`. */
  now: number;
};

export type PictureEvents = {
  /** A picture is on the screen. */
  shown?: (shown: Shown) => void;
  /** This browser does not decode that codec. */
  unsupported?: (codec: string) => void;
  /** The browser gave up on what it was given; the picture begins anew with the next key frame. */
  failed?: (why: string) => void;
};

export type PictureOptions = PictureEvents & {
  /**
   * Stay so many seconds behind the newest frame, by speeding up and by skipping; 0: show what is there at the
   * element's own pace (playback).
   */
  behind?: number;
};

/** Whether this browser decodes the codec (a name as RFC 6381 writes it). */
export function canShow(codec: string): boolean {
  return "MediaSource" in window && MediaSource.isTypeSupported(`video/mp4; codecs="${codec}"`);
}

/** A picture fed by messages. `take` each; `blank` takes everything off the screen in the same moment. */
export class Picture {
  private source: MediaSource | null = null;
  private buffer: SourceBuffer | null = null;
  private address = "";
  private codec = "";
  private opening: Uint8Array<ArrayBuffer> | null = null;
  private queue: Uint8Array<ArrayBuffer>[] = [];
  private walls: { at: number; wall: number }[] = [];
  private waitingForKey = true;
  private begun = false;
  private generation = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly options: PictureOptions,
  ) {
    video.muted = true;
    video.playsInline = true;
    video.disablePictureInPicture = true;
    video.addEventListener("error", () => {
      if (this.source && this.video.error) this.restart(this.video.error.message || "decode");
    });
    video.addEventListener("waiting", () => this.keepUp());
    this.blank();
  }

  /** A binary message is taken in. */
  take(message: ArrayBuffer): void {
    const view = new DataView(message);
    if (message.byteLength <= HEAD) return;
    if (view.getUint8(0) === OPENING) {
      const length = view.getUint8(HEAD);
      const codec = new TextDecoder().decode(new Uint8Array(message, HEAD + 1, length));
      this.open(codec, new Uint8Array(message, HEAD + 1 + length));
      return;
    }
    if (!this.codec) return;
    if (this.waitingForKey) {
      if (!(view.getUint8(1) & 1)) return;
      this.waitingForKey = false;
    }
    this.walls.push({
      at: Number(view.getBigUint64(16)) / TICKS,
      wall: Number(view.getBigUint64(8)) / 1000,
    });
    if (this.walls.length > 4000) this.walls.splice(0, 2000);
    this.queue.push(new Uint8Array(message, HEAD));
    this.pump();
  }

  /** The element is made ready, before it is known what it will show: the first picture need not wait for that. */
  prepare(): void {
    if (this.source || !("MediaSource" in window)) return;
    const generation = this.generation;
    const source = new MediaSource();
    this.source = source;
    source.addEventListener("sourceopen", () => {
      if (generation === this.generation) this.begin();
    });
    this.address = URL.createObjectURL(source);
    this.video.src = this.address;
    this.watch(generation);
  }

  /** Nothing is on the screen, and nothing that was given is kept. */
  blank(): void {
    this.generation++;
    this.queue = [];
    this.walls = [];
    this.buffer = null;
    this.source = null;
    this.codec = "";
    this.waitingForKey = true;
    this.begun = false;
    this.video.classList.add("is-blank");
    if (this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load(); // the element lets go of the frame it shows
    }
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = "";
  }

  /** Seconds between the picture on the screen and the newest frame that was given. */
  get lag(): number {
    const ranges = this.video.buffered;
    return ranges.length ? ranges.end(ranges.length - 1) - this.video.currentTime : 0;
  }

  private open(codec: string, opening: Uint8Array<ArrayBuffer>): void {
    this.opening = opening;
    this.waitingForKey = true;
    if (!canShow(codec)) {
      this.blank();
      this.options.unsupported?.(codec);
      return;
    }
    if (this.buffer && codec === this.codec) {
      this.queue.push(opening);
      this.pump();
      return;
    }
    // Another codec begins with an element of its own: simpler than changeType, and as quick.
    if (this.codec) this.blank();
    this.codec = codec;
    this.queue.push(opening);
    this.prepare();
    this.begin();
  }

  private begin(): void {
    const { source, codec, generation } = this;
    if (!source || source.readyState !== "open" || !codec || this.buffer) return;
    const buffer = source.addSourceBuffer(`video/mp4; codecs="${codec}"`);
    buffer.mode = "segments";
    buffer.addEventListener("updateend", () => {
      if (generation === this.generation) this.pump();
    });
    this.buffer = buffer;
    this.pump();
  }

  private pump(): void {
    const buffer = this.buffer;
    if (!buffer || buffer.updating) return;
    if (this.queue.length) {
      const size = this.queue.reduce((sum, part) => sum + part.length, 0);
      const all = this.queue.length === 1 ? this.queue[0]! : new Uint8Array(size);
      if (this.queue.length > 1) {
        let at = 0;
        for (const part of this.queue) {
          all.set(part, at);
          at += part.length;
        }
      }
      this.queue = [];
      try {
        buffer.appendBuffer(all);
      } catch (error) {
        this.restart(String(error));
      }
      return;
    }
    this.keepUp();
    this.tidy(buffer);
  }

  /** The picture stays close to the newest frame. */
  private keepUp(): void {
    const { video } = this;
    const ranges = video.buffered;
    if (!ranges.length) return;
    const behind = this.options.behind ?? 0;
    const end = ranges.end(ranges.length - 1);
    const start = ranges.start(ranges.length - 1);
    if (!this.begun) {
      this.begun = true;
      video.currentTime = behind ? Math.max(start, end - behind) : start;
      video.play().catch(() => undefined); // a muted element may play; a hidden page may not yet
      return;
    }
    if (!behind) {
      // A hole, at what was not recorded or lost: the next part is there already.
      if (video.currentTime < start && video.readyState < 3) video.currentTime = start;
      return;
    }
    const lag = end - video.currentTime;
    if (lag > 1 || video.currentTime < start) {
      video.currentTime = Math.max(start, end - behind);
      return;
    }
    // Too far behind: faster, in proportion, so that what a hiccup cost is made up for in a few frames. So near that the
    // next frame could come late: a little slower.
    const excess = lag - behind;
    const wanted = excess > CALM_SECONDS || excess < -behind / 2 ? 1 + excess * HASTE : 1;
    const rate = Math.round(Math.min(3, Math.max(0.9, wanted)) * 20) / 20;
    if (video.playbackRate !== rate) video.playbackRate = rate;
    if (video.paused) video.play().catch(() => undefined);
  }

  private tidy(buffer: SourceBuffer): void {
    const ranges = this.video.buffered;
    if (!ranges.length || buffer.updating) return;
    const first = ranges.start(0);
    if (this.video.currentTime - first > FORGET_SECONDS) buffer.remove(first, this.video.currentTime - KEEP_SECONDS);
  }

  /** The decoder failed: a new one, with the next key frame. */
  private restart(why: string): void {
    const { opening, codec } = this;
    this.blank();
    this.options.failed?.(why);
    if (opening && codec) this.open(codec, opening);
  }

  private watch(generation: number): void {
    const next = (now: number, frame: VideoFrameCallbackMetadata): void => {
      if (generation !== this.generation) return;
      this.video.classList.remove("is-blank");
      let wall = 0;
      while (this.walls.length && this.walls[0]!.at <= frame.mediaTime + 0.002) wall = this.walls.shift()!.wall;
      if (wall) this.options.shown?.({ wall, at: frame.mediaTime, now });
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }
}
