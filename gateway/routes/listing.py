"""What every list may be asked: which page, which records, in which order."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field
from typing_extensions import TypedDict


class Asked(TypedDict):
    """The fields of a request to list that any list has."""

    page_size: int
    page_token: str
    filter: str
    order_by: str


class _Listing(BaseModel):
    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    page_token: str = ""
    filter: str = ""
    order_by: Annotated[str, Field(alias="orderBy")] = ""

    @property
    def asked(self) -> Asked:
        """As the service is asked."""
        return Asked(page_size=self.page_size, page_token=self.page_token, filter=self.filter, order_by=self.order_by)


Listing = Annotated[_Listing, Query()]
