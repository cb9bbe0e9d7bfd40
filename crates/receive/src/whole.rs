//! Doors whose bodies are read as a whole before rows come of them.

use basalt_http::{Request, Response};
use decode::rows::{ReadError, Rows, Skipped};

use crate::{
    Entered, Receiver,
    body::{check_method, extra_labels},
    lines::packing,
    rejection::Rejection,
    session::Session,
};

impl Receiver {
    /// Reads a body of at most `bytes_max` with `read`, stores its rows, and gives `answer` when they are stored.
    pub(crate) async fn take_whole(
        &self,
        Entered { door, tenant }: Entered,
        mut request: Request,
        bytes_max: usize,
        read: impl AsyncFnOnce(&[u8], &mut Rows, &mut Session<'_>) -> Result<Skipped, ReadError<Rejection>>,
        answer: Response,
    ) -> Result<Response, Rejection> {
        check_method(&request)?;
        let labels = self.labels_with(extra_labels(&request.query_params())?);
        let packing = packing(&request)?;
        let mut session = Session::new(self, tenant, door.kind(), &labels);
        let mut workspace = session.unpack_body(&mut request, packing, bytes_max).await?;
        let (body, rows) = workspace.body_and_rows();
        let read = read(body, rows, &mut session).await;
        session.finish_rows(read, rows).await?;
        let taken = session.end().check()?;
        Ok(self.name_refused(&taken, door.protocol(), answer))
    }
}
