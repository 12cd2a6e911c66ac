//! The shelf with real files: good ones, bad ones, and too many.

use std::path::Path;
use std::time::{Instant, SystemTime};

use maskroom_core::inspect::picture::Picture as Rgb;

use super::*;

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("maskroom-shelf-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("images")).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, height: usize, width: usize, shade: u8) {
        let picture = Rgb::filled(height, width, [shade, 100, 200]);
        std::fs::write(self.0.join("images").join(name), picture.to_jpeg(90).unwrap()).unwrap();
    }

    fn shelf(&self, budget_mib: usize) -> Shelf {
        let dataset = Arc::new(Dataset::open(&self.0.join("images")).unwrap());
        Shelf::with_cache(dataset, &Context::default(), budget_mib, self.0.join("cache"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Draws frames until `look` is content.
fn until<T>(shelf: &mut Shelf, mut look: impl FnMut(&Shelf) -> Option<T>) -> T {
    let (context, begun) = (Context::default(), Instant::now());
    while begun.elapsed() < Duration::from_secs(20) {
        shelf.receive(&context);
        if let Some(found) = look(shelf) {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came");
}

fn ready(shelf: &Shelf, index: usize) -> Option<TextureHandle> {
    if let Thumbnail::Ready(texture) = shelf.thumbnail(index) { Some(texture) } else { None }
}

#[test]
fn thumbnails_come_and_bad_files_have_reasons() {
    let folder = Folder::new("bad");
    folder.write("a.jpg", 900, 1200, 10);
    std::fs::write(folder.0.join("images/b.jpg"), b"garbage").unwrap();
    folder.write("c.jpg", 20, 30, 10);
    let mut shelf = folder.shelf(64);
    assert_eq!(until(&mut shelf, |shelf| ready(shelf, 0)).size(), [160, 120]);
    assert_eq!(until(&mut shelf, |shelf| ready(shelf, 2)).size(), [30, 20]);
    let reason = until(&mut shelf, |shelf| if let Thumbnail::Failed(reason) = shelf.thumbnail(1) { Some(reason) } else { None });
    assert!(reason.contains("first bytes"), "{reason}");
    let picture = until(&mut shelf, |shelf| if let FullPicture::Ready(picture) = shelf.picture(0) { Some(picture) } else { None });
    assert_eq!((picture.height, picture.width), (900, 1200));
    until(&mut shelf, |shelf| matches!(shelf.picture(1), FullPicture::Failed(_)).then_some(()));
    shelf.picture_ahead(2);
    until(&mut shelf, |shelf| shelf.pictures.borrow().latest.iter().any(|(index, _)| *index == 2).then_some(()));
    assert!(matches!(shelf.thumbnail(99), Thumbnail::Pending) && matches!(Shelf::empty().thumbnail(0), Thumbnail::Pending));
}

#[test]
fn large_images_are_kept_on_disk_and_changed_ones_are_read_again() {
    let folder = Folder::new("disk");
    folder.write("a.jpg", 600, 800, 10);
    folder.write("small.jpg", 40, 40, 10);
    let mut shelf = folder.shelf(64);
    drop(until(&mut shelf, |shelf| ready(shelf, 0).and(ready(shelf, 1))));
    let begun = Instant::now();
    while kept_files(&folder.0.join("cache")).is_empty() && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let kept = kept_files(&folder.0.join("cache"));
    assert_eq!(kept.len(), 1, "{kept:?}");
    // What is shown the second time comes from the cache: here, another picture in its place.
    std::fs::write(&kept[0], Rgb::filled(50, 60, [1, 2, 3]).to_jpeg(90).unwrap()).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 86_400);
    std::fs::File::options().write(true).open(&kept[0]).unwrap().set_modified(long_ago).unwrap();
    let mut again = folder.shelf(64);
    assert_eq!(until(&mut again, |shelf| ready(shelf, 0)).size(), [60, 50]);
    assert!(kept[0].metadata().unwrap().modified().unwrap() > long_ago, "its use is noted");
    std::fs::write(&kept[0], b"damaged").unwrap();
    let mut again = folder.shelf(64);
    assert_eq!(until(&mut again, |shelf| ready(shelf, 0)).size(), [160, 120]);
    folder.write("a.jpg", 800, 600, 10);
    let mut changed = folder.shelf(64);
    assert_eq!(until(&mut changed, |shelf| ready(shelf, 0)).size(), [120, 160]);
}

fn kept_files(folder: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    below(folder).iter().flat_map(|folder| below(folder)).filter(|path| path.extension().is_some_and(|end| end == "jpg")).collect()
}

#[test]
fn textures_stay_within_the_budget() {
    let folder = Folder::new("budget");
    (0..40).for_each(|index| folder.write(&format!("{index:02}.jpg"), 160, 160, index));
    let mut shelf = folder.shelf(1);
    for index in 0..40 {
        drop(until(&mut shelf, |shelf| ready(shelf, index)));
    }
    let textures = shelf.textures.borrow();
    assert!(textures.bytes <= 1 << 20 && textures.known.len() >= 8 && textures.known.contains_key(&39), "{}", textures.known.len());
}

#[test]
fn what_is_visible_comes_first() {
    let folder = Folder::new("first");
    (0..60).for_each(|index| folder.write(&format!("{index:02}.jpg"), 300, 300, index));
    let mut shelf = folder.shelf(64);
    (0..60).for_each(|index| drop(shelf.thumbnail(index)));
    shelf.receive(&Context::default());
    shelf.show_first(50..1000);
    until(&mut shelf, |shelf| (50..60).all(|index| ready(shelf, index).is_some()).then_some(()));
    let known = shelf.textures.borrow().known.len();
    assert!(known < 60, "the others were forgotten: {known}");
}
