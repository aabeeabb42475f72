// The camera: on and off, and its present frame as a picture file.

const WIDTH = 640; // pixels that are asked for: the network sees 224
const QUALITY = 0.92; // of a frame's JPEG

const PROBLEMS = {
  NotAllowedError: "The camera was not allowed. Allow it for this page in the browser's address " +
    "bar or settings, then try again; or choose pictures.",
  NotFoundError: "There is no camera on this device: choose pictures.",
  NotReadableError: "The camera is used by another program: close that, then try again.",
};

// Turn the camera on. Returns { video, frame, stop }: an element that shows it, a function to a Blob
// of its present frame, and one that turns it off. onEnd(): when it goes off by itself.
export async function openCamera(onEnd) {
  let stream;
  try {
    const wanted = { facingMode: "environment", width: { ideal: WIDTH } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
  } catch (error) {
    throw new Error(PROBLEMS[error.name] ?? `The camera does not work: ${error.message}`);
  }
  stream.getVideoTracks()[0].addEventListener("ended", onEnd);
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, srcObject: stream });
  await video.play();
  const frame = () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  };
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  return { video, frame, stop };
}
